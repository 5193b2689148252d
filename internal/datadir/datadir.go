// Package datadir owns the data directory: it locks the directory for one process, checks that no other user can change or
// read it, and keeps the serving certificate, the administrator's kubeconfig and the key-encryption key in it.
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
	// KeyEncryptionKey encrypts the private keys in the store unless an encryption configuration does.
	KeyEncryptionKey = "key-encryption.key"

	caKey          = "ca.key" // of an older version
	servingCrt     = "serving.crt"
	servingKey     = "serving.key"
	serverNameFile = "server-name"
	lockFile       = "lock"
)

const (
	dirMode     fs.FileMode = 0o700
	privateMode fs.FileMode = 0o600
	publicMode  fs.FileMode = 0o644
)

// Dir is a data directory that belongs to this process until it is closed.
type Dir struct {
	path string
	root *os.Root
	lock *fileutil.LockedFile
	used bool
	use  Use
}

// Use is the use of a directory: how errors name it, which flag names another one, and its files. Only the public ones may be
// read by other users.
type Use struct {
	Noun, Flag    string
	Files, Public []string
}

// serverUse is the directory of a server.
var serverUse = Use{
	Noun: "data directory", Flag: "--data-dir",
	Files:  []string{lockFile, CACertificate, caKey, servingCrt, servingKey, AdminKubeconfig, SigningKey, KeyEncryptionKey, serverNameFile},
	Public: []string{CACertificate, servingCrt},
}

// Open makes the directory if it is missing, checks that no other user can change it or read its keys, and locks it.
func Open(path string) (*Dir, error) { return openAs(currentUser(serverUse), path) }

// OpenFor opens a directory with another use as Open does.
func OpenFor(use Use, path string) (*Dir, error) {
	use.Files = append([]string{lockFile}, use.Files...)
	return openAs(currentUser(use), path)
}

func openAs(who caller, path string) (_ *Dir, err error) {
	abs, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("the %s %s: %w", who.Noun, path, err)
	}
	resolved, err := who.resolve(abs)
	if err != nil {
		return nil, fmt.Errorf("the %s %s can't be used: %w", who.Noun, abs, err)
	}
	if err := makeDir(resolved); err != nil {
		return nil, fmt.Errorf("the %s can't be made; name another with %s: %w", who.Noun, who.Flag, err)
	}
	root, err := os.OpenRoot(resolved)
	if err != nil {
		return nil, fmt.Errorf("the %s %s can't be opened; does it belong to the user that runs this process?: %w", who.Noun, abs, err)
	}
	d := &Dir{path: abs, root: root, use: who.Use}
	defer func() {
		if err != nil {
			_ = d.Close()
		}
	}()
	if err := who.check(abs, root); err != nil {
		return nil, err
	}
	if err := d.takeLock(); err != nil {
		return nil, err
	}
	d.used, err = d.exists(AdminKubeconfig, Store)
	return d, err
}

// makeDir makes a directory and those above it that are missing. Their mode does not depend on the umask.
func makeDir(path string) error {
	err := os.Mkdir(path, dirMode)
	if errors.Is(err, fs.ErrNotExist) && filepath.Dir(path) != path {
		if err := makeDir(filepath.Dir(path)); err != nil {
			return err
		}
		err = os.Mkdir(path, dirMode)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return os.Chmod(path, dirMode)
}

// takeLock locks the directory and writes into the lock which process holds it.
func (d *Dir) takeLock() error {
	name := d.Path(lockFile)
	lock, err := fileutil.TryLockFile(name, os.O_RDWR|os.O_CREATE|openFlags, privateMode)
	if errors.Is(err, fileutil.ErrLocked) {
		return fmt.Errorf("the %s %s is in use by %s: stop that process, or name another directory with %s", d.use.Noun, d.path, d.holder(), d.use.Flag)
	}
	if err != nil {
		return fmt.Errorf("the %s %s can't be locked; is it writable?: %w", d.use.Noun, d.path, err)
	}
	d.lock = lock
	if err := d.writeLock(); err != nil {
		return fmt.Errorf("the lock of the %s %s can't be written: %w", d.use.Noun, d.path, err)
	}
	return nil
}

func (d *Dir) writeLock() error {
	if err := errors.Join(d.lock.Chmod(privateMode), d.lock.Truncate(0)); err != nil {
		return err
	}
	_, err := fmt.Fprintf(d.lock, "process %d (%s), since %s\n", os.Getpid(), filepath.Base(os.Args[0]), time.Now().Format(time.RFC3339))
	return err
}

// holder reads from the lock which process holds it.
func (d *Dir) holder() string {
	said, err := d.read(lockFile)
	if err != nil || len(said) == 0 {
		return "another process"
	}
	return strings.TrimSpace(string(said))
}

// Used reports whether a server has run with this directory before it was opened.
func (d *Dir) Used() bool { return d.used }

// Path returns the name of a file in the directory.
func (d *Dir) Path(name string) string { return filepath.Join(d.path, name) }

// Close unlocks the directory.
func (d *Dir) Close() error {
	var err error
	if d.lock != nil {
		err = d.lock.Close()
	}
	return errors.Join(err, d.root.Close())
}

// exists reports whether one of the names is there.
func (d *Dir) exists(names ...string) (bool, error) {
	for _, name := range names {
		_, err := d.root.Lstat(name)
		if err == nil {
			return true, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
	}
	return false, nil
}
