package main

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/snapshot"
)

type snapshotStatus struct {
	output outputFormat
	prefix string
}

func newSnapshotStatusCommand(s streams) *cobra.Command {
	c := &snapshotStatus{output: outputFormat{allowed: []string{"json", "yaml"}}}
	cmd := &cobra.Command{
		Use:   "status FILE",
		Short: "Check a snapshot, and say what it holds",
		Long: `Read a snapshot whole, compare its checksum, and say what it holds and which keys it needs. Nothing is
changed. The exit code is 0 if it can be restored, but for the keys.`,
		Args: snapshotArg,
		RunE: func(_ *cobra.Command, args []string) error {
			status, err := snapshot.Read(args[0], c.prefix)
			if err != nil {
				return err
			}
			if c.output.value != "" {
				return c.output.print(s.out, status)
			}
			return tellStatus(s.out, status)
		},
	}
	prefixFlag(cmd, &c.prefix)
	c.output.addTo(cmd)
	return cmd
}

// tellStatus says for a person what a snapshot holds.
func tellStatus(w io.Writer, status *snapshot.Status) error {
	var text strings.Builder
	fmt.Fprintf(&text, "File          %s\n", status.File)
	fmt.Fprintf(&text, "Checksum      good\n")
	fmt.Fprintf(&text, "Size          %d bytes\n", status.Size)
	fmt.Fprintf(&text, "Revision      %d\n", status.Revision)
	fmt.Fprintf(&text, "Format        %d, in an etcd %s\n", status.Format, status.EtcdVersion)
	fmt.Fprintf(&text, "Issuer        %s\n", status.Issuer)
	fmt.Fprintf(&text, "Objects       %d, of which %d are encrypted\n", status.Objects, status.EncryptedObjects)
	fmt.Fprintf(&text, "Private keys  %d, encrypted with %s\n", status.PrivateKeys, strings.Join(status.EncryptedWith, " and "))
	fmt.Fprintf(&text, "Needs         %s\n", strings.Join(needs(status), " and "))
	_, err := io.WriteString(w, plain(text.String()))
	return err
}

// needs names the files without which a snapshot is useless.
func needs(status *snapshot.Status) (files []string) {
	if status.NeedsKeyEncryptionKey {
		files = append(files, "key-encryption.key of the data directory")
	}
	if status.NeedsEncryptionConfiguration || status.EncryptedObjects > 0 {
		files = append(files, "the file of --encryption-provider-config")
	}
	return files
}
