// Package snapshot provides `mintmark snapshot`: it saves the embedded store of a data directory to a file, says what such a file
// holds and which keys it needs, and makes a data directory's store of it again.
package snapshot

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/identity"
)

// Save writes a snapshot of the embedded store of a data directory. A server that runs with the directory goes on. If none does, the
// store is started for as long as that takes.
func Save(ctx context.Context, dataDir string, w io.Writer) error {
	store := filepath.Join(dataDir, datadir.Store)
	switch _, err := os.Stat(store); {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("there is no embedded store in %s: name the data directory of a server with --data-dir. Of an external etcd, etcdctl snapshot save makes one", dataDir)
	case err != nil:
		return fmt.Errorf("the data directory is its owner's alone: %w", err)
	}
	served, err := etcd.Served(ctx, store)
	if err != nil {
		return err
	}
	if served {
		return etcd.SaveSnapshot(ctx, store, w)
	}
	dir, err := datadir.Open(dataDir)
	if err != nil {
		return err
	}
	defer func() { _ = dir.Close() }()
	member, err := etcd.Start(ctx, etcd.Config{Dir: dir.Path(datadir.Store)})
	if err != nil {
		return err
	}
	defer member.Close()
	return etcd.SaveSnapshot(ctx, dir.Path(datadir.Store), w)
}

// Status is what a snapshot holds.
type Status struct {
	// File is its name, and Size that in bytes.
	File string `json:"file"`
	Size int64  `json:"size"`
	// Revision is that of the last write in it.
	Revision int64 `json:"revision"`
	// EtcdVersion is that of etcd's storage format.
	EtcdVersion string `json:"etcdVersion,omitempty"`
	// Format is the version of the format in which Mintmark has written the store.
	Format int `json:"format"`
	// Objects is how many objects of the API there are.
	Objects int `json:"objects"`
	// EncryptedObjects is how many of them are encrypted.
	EncryptedObjects int    `json:"encryptedObjects"`
	Issuer           string `json:"issuer"`
	// PrivateKeys is how many private keys there are, and EncryptedWith which keys open them.
	PrivateKeys   int      `json:"privateKeys"`
	EncryptedWith []string `json:"encryptedWith"`
	// NeedsKeyEncryptionKey and NeedsEncryptionConfiguration say which files have to be kept beside the snapshot.
	NeedsKeyEncryptionKey        bool `json:"needsKeyEncryptionKey"`
	NeedsEncryptionConfiguration bool `json:"needsEncryptionConfiguration"`

	identity *identity.Copy
}

// encrypted begins objects that an encryption configuration has encrypted.
var encrypted = []byte("k8s:enc:")

// Read reads a snapshot whole and compares its checksum. prefix begins the keys of the store, such as /mintmark.
func Read(file, prefix string) (*Status, error) {
	shared := identity.NewCopy(prefix)
	isEncrypted := map[string]bool{} // of the live objects
	below := path.Join("/", prefix) + "/"
	read, err := etcd.ReadSnapshot(file, func(key string, value []byte, deleted bool) {
		switch {
		case deleted:
			shared.Delete(key)
			delete(isEncrypted, key)
		case strings.HasPrefix(key, below) && !shared.Put(key, value):
			isEncrypted[key] = bytes.HasPrefix(value, encrypted)
		}
	})
	if err != nil {
		return nil, err
	}
	facts, err := shared.Facts()
	if err != nil {
		return nil, fmt.Errorf("the checksum of %s is right, but it can't be used: %w", file, err)
	}
	status := &Status{
		File: file, Size: read.Size, Revision: read.Revision, EtcdVersion: read.Version,
		Format: facts.Version, Issuer: facts.Issuer, Objects: len(isEncrypted),
		PrivateKeys: facts.PrivateKeys, EncryptedWith: facts.EncryptedWith,
		NeedsKeyEncryptionKey: facts.NeedsFile, NeedsEncryptionConfiguration: facts.NeedsConfiguration,
		identity: shared,
	}
	for _, is := range isEncrypted {
		if is {
			status.EncryptedObjects++
		}
	}
	return status, nil
}
