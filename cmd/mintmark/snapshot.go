package main

import (
	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/options"
)

func newSnapshotCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "snapshot",
		Short: "Save the embedded store to a file, and restore it",
		Long: `Save the embedded store of a data directory to a file, say what such a file holds, and restore it.

The file has etcd's format, so etcdutl reads it as well: that is the way from the embedded store to an
external etcd (docs/operations.md). It holds everything but the key that the private keys in it are
encrypted with: keep key-encryption.key of the data directory beside it, or the file of
--encryption-provider-config.`,
		Args: subcommandArgs,
		RunE: showHelp,
	}
	cmd.AddCommand(newSnapshotSaveCommand(s), newSnapshotStatusCommand(s), newSnapshotRestoreCommand(s))
	return cmd
}

// dataDirFlag adds the flag that names a server's data directory.
func dataDirFlag(cmd *cobra.Command, dir *string) {
	cmd.Flags().StringVar(dir, "data-dir", defaultDataDir, "Data directory of 'mintmark serve'")
	_ = cmd.MarkFlagDirname("data-dir")
}

// prefixFlag adds the flag that names the prefix of the keys in the store.
func prefixFlag(cmd *cobra.Command, prefix *string) {
	cmd.Flags().StringVar(prefix, "etcd-prefix", options.DefaultEtcdPrefix, "The --etcd-prefix that the server runs with")
	completeFlag(cmd, "etcd-prefix")
}

// snapshotArg is the argument of the commands: one file.
func snapshotArg(cmd *cobra.Command, args []string) error {
	if len(args) != 1 || args[0] == "" {
		return usageErrorf(cmd, "name one file: that of the snapshot")
	}
	return nil
}
