package snapshot

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"time"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/identity"
)

// RestoreConfig says what is restored, and where.
type RestoreConfig struct {
	File, DataDir string
	// Prefix begins the keys of the store, such as /mintmark.
	Prefix string
	// EncryptionConfiguration is the file of --encryption-provider-config; empty means none.
	EncryptionConfiguration string
	// Replace lets the snapshot take the place of a store that is there, which is kept under another name.
	Replace bool
	// RevokeBefore is an instant: all tokens that were issued before are refused from the first start on. Zero means that none is.
	RevokeBefore time.Time
}

// Restored is what came of it.
type Restored struct {
	*Status
	// Former is the name of the store that was there before; empty if there was none.
	Former string
	// Revocation is the name of the TokenRevocation that was added, and RevokedBefore its instant; empty if there is none.
	Revocation    string
	RevokedBefore time.Time
}

// Restore makes the store of a data directory of a snapshot, after all private keys in it were decrypted with what the directory and
// the configuration hold. If it fails, the data directory's store is as it was.
func Restore(ctx context.Context, cfg RestoreConfig) (*Restored, error) {
	status, err := Read(cfg.File, cfg.Prefix)
	if err != nil {
		return nil, err
	}
	if !cfg.RevokeBefore.IsZero() && status.EncryptedObjects > 0 && cfg.EncryptionConfiguration == "" {
		return nil, fmt.Errorf("objects in %s are encrypted, so a revocation has to be, too: name the file of --encryption-provider-config", cfg.File)
	}
	dir, err := datadir.Open(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = dir.Close() }()
	if err := openKeys(ctx, cfg, status, dir); err != nil {
		return nil, fmt.Errorf("nothing was restored: %w", err)
	}
	done := &Restored{Status: status}
	restore := etcd.RestoreConfig{Snapshot: cfg.File, Dir: dir.Path(datadir.Store), Replace: cfg.Replace}
	if !cfg.RevokeBefore.IsZero() {
		restore.Prepare = func(ctx context.Context, endpoint string) (err error) {
			done.RevokedBefore = wholeSecond(cfg.RevokeBefore)
			done.Revocation, err = revoke(ctx, cfg, endpoint, done.RevokedBefore)
			return err
		}
	}
	done.Former, err = etcd.Restore(ctx, restore)
	return done, err
}

// openKeys fails, and says what is missing, unless all private keys of a snapshot can be decrypted.
func openKeys(ctx context.Context, cfg RestoreConfig, status *Status, dir *datadir.Dir) error {
	file := dir.Path(datadir.KeyEncryptionKey)
	key, err := dir.KeyEncryptionKey()
	if err != nil {
		return err
	}
	if status.NeedsEncryptionConfiguration && cfg.EncryptionConfiguration == "" {
		return fmt.Errorf("the private keys in %s are encrypted with %s: name the encryption configuration that holds it with --encryption-provider-config",
			cfg.File, strings.Join(status.EncryptedWith, " and "))
	}
	if status.NeedsKeyEncryptionKey && key == nil {
		return fmt.Errorf("the private keys in %s are encrypted with %s, and %s is missing: put that file, which was kept beside the snapshot, into %s and try again. "+
			"Without it the snapshot is useless", cfg.File, strings.Join(status.EncryptedWith, " and "), file, filepath.Dir(file))
	}
	sealer, err := identity.NewSealer(ctx, identity.SealerConfig{
		ConfigurationFile: cfg.EncryptionConfiguration, KeyEncryptionKey: key, KeyEncryptionKeyFile: file,
	})
	if errors.Is(err, identity.ErrNoKey) {
		return fmt.Errorf("%w: put %s into the data directory, or name the file of --encryption-provider-config", err, datadir.KeyEncryptionKey)
	}
	if err != nil {
		return err
	}
	defer sealer.Close()
	return status.identity.Open(ctx, sealer)
}
