//go:build unix

package unixsocket

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// restrict gives a socket a mode before it has a file.
func restrict(raw syscall.RawConn, mode fs.FileMode) error {
	return raw.Control(func(fd uintptr) {
		_ = unix.Fchmod(int(fd), uint32(mode.Perm())) // where that is not known, the mode is set later
	})
}

// lockDirectory keeps other processes from replacing a socket in the same directory at the same time. The lock ends with the
// process.
func lockDirectory(dir string) (unlock func(), err error) {
	file, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	err = unix.Flock(int(file.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) { // a file system without locks gives another error
		_ = file.Close()
		return nil, fmt.Errorf("another process is making a socket in %s just now: try again: %w", dir, err)
	}
	return func() { _ = file.Close() }, nil
}
