package main

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/snapshot"
)

type snapshotSave struct {
	dataDir   string
	overwrite bool
}

func newSnapshotSaveCommand(s streams) *cobra.Command {
	c := &snapshotSave{}
	cmd := &cobra.Command{
		Use:   "save FILE",
		Short: "Save the embedded store to a file",
		Long: `Save the embedded store to a file: its state at one instant, with a checksum. A server that runs with the
data directory goes on meanwhile. Only the owner of the data directory can do this.

The file is whole or not there at all, and only its owner may read it.`,
		Example: `  # Of the server that runs with ./mintmark-data
  mintmark snapshot save backup.db`,
		Args: snapshotArg,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	dataDirFlag(cmd, &c.dataDir)
	cmd.Flags().BoolVar(&c.overwrite, "overwrite", false, "Replace the file if it exists")
	return cmd
}

func (c *snapshotSave) run(cmd *cobra.Command, file string, s streams) error {
	if filepath.Base(file) != filepath.Base(filepath.Clean(file)) || file[len(file)-1] == filepath.Separator {
		return usageErrorf(cmd, "name a file, and not a directory")
	}
	dir, err := openPrivateDir(filepath.Dir(file), "")
	if err != nil {
		return err
	}
	defer dir.close()
	name := filepath.Base(file)
	if err := dir.free(name, c.overwrite); err != nil {
		return err
	}
	err = dir.writeFrom(name, c.overwrite, func(w io.Writer) error { return snapshot.Save(cmd.Context(), c.dataDir, w) })
	if err != nil {
		return err
	}
	_, _ = fmt.Fprintf(s.out, "Saved %s\n", plain(file)) // a closed terminal can't be told
	if key := filepath.Join(c.dataDir, datadir.KeyEncryptionKey); exists(key) {
		_, _ = fmt.Fprintf(s.out, "Keep %s beside it: without that key it is useless. Keep both secret.\n", plain(key))
	} else {
		_, _ = fmt.Fprint(s.out, "Keep the file of --encryption-provider-config beside it: without that it is useless. Keep both secret.\n")
	}
	return nil
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}
