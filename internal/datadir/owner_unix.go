//go:build unix

package datadir

import (
	"io/fs"
	"os"
	"syscall"
)

// openFlags make the open of a named pipe return at once. Nothing is read from one: its type is looked at first.
const openFlags = syscall.O_NONBLOCK | syscall.O_NOFOLLOW

// ownership returns the owner, the group and the number of names of a file.
func ownership(info fs.FileInfo) (o owner, known bool) {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return owner{}, false
	}
	return owner{uid: int(stat.Uid), gid: int(stat.Gid), links: uint64(stat.Nlink)}, true //nolint:unconvert // Nlink has another type on other systems
}

// currentUser returns the user and the groups that the process acts as.
func currentUser(use Use) caller {
	c := caller{Use: use, uid: os.Geteuid(), gid: os.Getegid()}
	c.groups, _ = os.Getgroups() // without them fewer directories are trusted
	return c
}
