package main

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/internal/snapshot"
)

type snapshotRestore struct {
	snapshot.RestoreConfig

	revokeBefore string
}

func newSnapshotRestoreCommand(s streams) *cobra.Command {
	c := &snapshotRestore{}
	cmd := &cobra.Command{
		Use:   "restore FILE",
		Short: "Make the store of a data directory of a snapshot",
		Long: `Make the embedded store of a data directory of a snapshot: a new or empty data directory, or with --replace
one whose server is stopped. The store that was there is kept under another name.

Put key-encryption.key into the data directory first, or name the --encryption-provider-config: nothing is
restored unless the private keys in the snapshot can be decrypted.

What was deleted or taken back since the snapshot was made is there again: accounts and the tokens that ended
with them, revocations, permissions, signing keys that were removed. --revoke-issued-before now has all tokens
refused that were issued until now, from the first start on.`,
		Example: `  # After the loss of a machine: into a new data directory, with the key that was kept beside the snapshot
  (umask 077; mkdir mintmark-data; cp key-encryption.key mintmark-data/)
  mintmark snapshot restore backup.db --data-dir mintmark-data --revoke-issued-before now`,
		Args: snapshotArg,
		RunE: func(cmd *cobra.Command, args []string) error { return c.run(cmd, args[0], s) },
	}
	dataDirFlag(cmd, &c.DataDir)
	prefixFlag(cmd, &c.Prefix)
	flags := cmd.Flags()
	flags.StringVar(&c.EncryptionConfiguration, "encryption-provider-config", "", "The --encryption-provider-config that the server runs with")
	flags.BoolVar(&c.Replace, "replace", false, "Put the snapshot in the place of the store that is there, and keep that one under another name")
	flags.StringVar(&c.revokeBefore, "revoke-issued-before", "", "Have all tokens refused that were issued before an instant, as in 2026-01-31T12:00:00Z, or now")
	completeFlag(cmd, "revoke-issued-before", "now")
	_ = cmd.MarkFlagFilename("encryption-provider-config")
	return cmd
}

func (c *snapshotRestore) run(cmd *cobra.Command, file string, s streams) error {
	now := time.Now()
	switch c.revokeBefore {
	case "":
	case "now":
		c.RevokeBefore = now
	default:
		at, err := time.Parse(time.RFC3339, c.revokeBefore)
		if err != nil {
			return usageErrorf(cmd, "--revoke-issued-before must be now or an instant such as 2026-01-31T12:00:00Z")
		}
		if at.After(now) {
			return usageErrorf(cmd, "--revoke-issued-before must not be in the future")
		}
		c.RevokeBefore = at
	}
	c.File = file
	done, err := snapshot.Restore(cmd.Context(), c.RestoreConfig)
	if err != nil {
		return err
	}
	return c.tell(s.out, done)
}

// tell says what was restored, and what is to be done about what came back with it.
func (c *snapshotRestore) tell(w io.Writer, done *snapshot.Restored) error {
	var text strings.Builder
	fmt.Fprintf(&text, "Restored %s into %s: issuer %s, %d objects, %d private keys.\n", done.File, c.DataDir, done.Issuer, done.Objects, done.PrivateKeys)
	if done.Former != "" {
		fmt.Fprintf(&text, "The store that was there is now %s. Delete it when all is well: it holds secrets.\n", done.Former)
	}
	text.WriteString("Everything is as it was when the snapshot was made: what was deleted or taken back since is there again.\n")
	if done.Revocation != "" {
		fmt.Fprintf(&text, "All tokens that were issued before %s are refused (tokenrevocation %s). Tokens that name no time count as older,\n"+
			"also new ones: those in secrets, bootstrap tokens and static tokens. When no older token can be good any longer:\n"+
			"  kubectl delete tokenrevocation %[2]s\n", done.RevokedBefore.Format(time.RFC3339), done.Revocation)
	} else {
		text.WriteString("Tokens that ended since are good again. To end all that were issued until now, when the server runs:\n" + revokeAll)
	}
	text.WriteString("To end the client certificates of a user or node that was removed since:\n" +
		"  mintmark token revoke --client-certificate-of USER\n" +
		"Delete again the accounts, bindings and signing keys (mintmark keys remove) that had to go.\n")
	_, err := io.WriteString(w, plain(text.String()))
	return err
}

// revokeAll is the command that takes back all tokens.
const revokeAll = `  printf '{"apiVersion":"mintmark.io/v1alpha1","kind":"TokenRevocation","metadata":{"generateName":"restored-"},"spec":{"issuedBefore":"%s"}}' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" | kubectl create -f -
`
