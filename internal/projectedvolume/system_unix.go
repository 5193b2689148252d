//go:build unix

package projectedvolume

import (
	"io/fs"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// ownerOf is the user that a file belongs to.
func ownerOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Uid)
	}
	return unset
}

// groupOf is the group that a file belongs to.
func groupOf(info fs.FileInfo) int {
	if stat, ok := info.Sys().(*syscall.Stat_t); ok {
		return int(stat.Gid)
	}
	return unset
}

// lock takes the lock of an open directory, which ends with the process at the latest.
func lock(directory *os.File) error {
	return unix.Flock(int(directory.Fd()), unix.LOCK_EX|unix.LOCK_NB)
}
