package datadir

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/fileutil"
)

const (
	// temporaryPrefix begins the names of temporary data directories.
	temporaryPrefix = "mintmark-ephemeral-"
	// abandonedAfter is how old a temporary directory without a lock is when its process has been killed for sure.
	abandonedAfter = time.Minute
)

// Temporary makes an empty directory for a server whose state ends with the process: in memory if the machine has a file
// system for that, otherwise where temporary files are. remove removes it. Directories of processes that were killed are
// removed as well.
func Temporary() (path string, remove func() error, err error) {
	parent := cmp.Or(memoryDir(), os.TempDir())
	sweep(parent, time.Now())
	if path, err = os.MkdirTemp(parent, temporaryPrefix); err != nil {
		return "", nil, fmt.Errorf("the temporary data directory can't be made; name another place with TMPDIR: %w", err)
	}
	return path, func() error { return os.RemoveAll(path) }, nil
}

// sweep removes the temporary directories of this user whose processes have been killed: nothing holds their locks.
func sweep(parent string, now time.Time) {
	found, err := filepath.Glob(filepath.Join(parent, temporaryPrefix+"*"))
	if err != nil {
		return
	}
	for _, dir := range found {
		if abandoned(dir, now) {
			_ = os.RemoveAll(dir) // one of another user stays
		}
	}
}

func abandoned(dir string, now time.Time) bool {
	info, err := os.Lstat(dir)
	if err != nil || !info.IsDir() || now.Sub(info.ModTime()) < abandonedAfter {
		return false
	}
	lock, err := fileutil.TryLockFile(filepath.Join(dir, lockFile), os.O_RDWR|openFlags, privateMode)
	if err != nil {
		return errors.Is(err, fs.ErrNotExist)
	}
	_ = lock.Close()
	return true
}
