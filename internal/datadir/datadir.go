// Package datadir owns the data directory: the lock that gives it to one process, and what the first start puts there,
// a certificate authority, a serving certificate and an administrator's kubeconfig.
package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

// Names of what lies in the directory.
const (
	CACertificate   = "ca.crt"
	AdminKubeconfig = "admin.kubeconfig"
	SigningKey      = "service-account.key"
	Store           = "etcd"

	caKey      = "ca.key"
	servingCrt = "serving.crt"
	servingKey = "serving.key"
	lockFile   = "lock"
)

// Dir is a data directory that belongs to this process until it is closed.
type Dir struct {
	path string
	lock *fileutil.LockedFile
}

// Open makes the directory if it is missing and takes it for this process.
func Open(path string) (*Dir, error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the data directory %s: %w", path, err)
	}
	if err := os.MkdirAll(abs, 0o700); err != nil {
		return nil, fmt.Errorf("the data directory can't be made; name another with --data-dir: %w", err)
	}
	name := filepath.Join(abs, lockFile)
	lock, err := fileutil.TryLockFile(name, os.O_RDWR|os.O_CREATE, 0o600)
	if errors.Is(err, fileutil.ErrLocked) {
		return nil, fmt.Errorf("the data directory %s is in use by %s: stop that process, or name another directory with --data-dir", abs, holder(name))
	}
	if err != nil {
		return nil, fmt.Errorf("the data directory %s can't be locked; is it writable?: %w", abs, err)
	}
	d := &Dir{path: abs, lock: lock}
	if err := d.sign(); err != nil {
		_ = lock.Close()
		return nil, fmt.Errorf("the lock of the data directory %s can't be written: %w", abs, err)
	}
	return d, nil
}

// sign writes into the lock who holds it.
func (d *Dir) sign() error {
	if err := d.lock.Truncate(0); err != nil {
		return err
	}
	_, err := fmt.Fprintf(d.lock, "process %d (%s), since %s\n", os.Getpid(), filepath.Base(os.Args[0]), time.Now().Format(time.RFC3339))
	return err
}

// holder reads from a lock who holds it.
func holder(name string) string {
	said, err := os.ReadFile(name)
	if err != nil || len(said) == 0 {
		return "another process"
	}
	return strings.TrimSpace(string(said))
}

// Path returns the name of a file in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Close gives the directory back.
func (d *Dir) Close() error { return d.lock.Close() }

// read returns what a file holds, or nothing if there is no such file.
func (d *Dir) read(name string) ([]byte, error) {
	data, err := os.ReadFile(d.Path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return data, err
}

// WriteFile puts data into a file, wholly or not at all, whatever happens meanwhile.
func WriteFile(name string, data []byte, mode fs.FileMode) error {
	temporary, err := os.CreateTemp(filepath.Dir(name), "."+filepath.Base(name)+"-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temporary.Name()) }()
	_, err = temporary.Write(data)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	if err := os.Rename(temporary.Name(), name); err != nil {
		return err
	}
	// The name itself has to reach the disk, too.
	dir, err := os.Open(filepath.Dir(name))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
