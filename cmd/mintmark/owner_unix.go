//go:build unix

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
)

// checkOwned refuses a file that another user owns, or whose mode has a forbidden bit.
func checkOwned(path string, info fs.FileInfo, forbidden fs.FileMode) error {
	stat, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return fmt.Errorf("the owner of %s can't be found out", path)
	}
	if int(stat.Uid) != os.Geteuid() {
		return fmt.Errorf("%s belongs to another user (uid %d)", path, stat.Uid)
	}
	// The permissions of a link are those of what it leads to.
	if info.Mode()&fs.ModeSymlink == 0 && info.Mode().Perm()&forbidden != 0 {
		return fmt.Errorf("other users have access to %s (mode %04o, and %04o is right)", path, info.Mode().Perm(), info.Mode().Perm()&^forbidden)
	}
	return nil
}

// checkParents refuses a directory if another user could replace it or a directory above it. Directories may belong to root
// or the caller, and the caller's own group may write to them. A directory with the sticky bit is accepted: in it users
// can't replace files of other users.
func checkParents(dir string) error {
	path, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	if path, err = filepath.EvalSymlinks(filepath.Dir(path)); err != nil {
		return err
	}
	for {
		info, err := os.Lstat(path)
		if err != nil {
			return err
		}
		stat, ok := info.Sys().(*syscall.Stat_t)
		if !ok {
			return fmt.Errorf("the owner of %s can't be found out", path)
		}
		if uid := int(stat.Uid); uid != 0 && uid != os.Geteuid() {
			return fmt.Errorf("the directory %s belongs to another user (uid %d)", path, uid)
		}
		writable := info.Mode().Perm() & 0o022
		if writable == 0o020 && ownGroup(stat.Gid) || info.Mode()&fs.ModeSticky != 0 {
			writable = 0
		}
		if writable != 0 {
			return fmt.Errorf("other users may write to the directory %s (mode %04o)", path, info.Mode().Perm())
		}
		if path == filepath.Dir(path) {
			return nil
		}
		path = filepath.Dir(path)
	}
}

// ownGroup reports whether a group is the caller's alone: it has the caller's name, as many systems make it with a user.
func ownGroup(gid uint32) bool {
	group, groupErr := user.LookupGroupId(strconv.FormatUint(uint64(gid), 10))
	caller, userErr := user.LookupId(strconv.Itoa(os.Geteuid()))
	return errors.Join(groupErr, userErr) == nil && group.Name == caller.Username
}
