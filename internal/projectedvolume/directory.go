package projectedvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// directory is an open directory that belongs to this process. Whatever is done to it is done to the directory that was
// checked, even if its path leads elsewhere by now: os.Root holds it open.
type directory struct {
	*os.Root
	// path is for texts.
	path string
}

// worldWritable are the bits of a directory in which anybody may replace anything: write permission for all, and no sticky bit.
const worldWritable = 0o002

// openRoot opens the directory that everything is below, makes it if it is missing, and locks it for this process.
func openRoot(path string) (directory, *os.File, error) {
	if err := makeRoot(path); err != nil {
		return directory{}, nil, fmt.Errorf("the directory for the files of volumes can't be made: %w", err)
	}
	root, err := os.OpenRoot(path)
	if err != nil {
		return directory{}, nil, fmt.Errorf("the directory for the files of volumes can't be opened: %w", err)
	}
	lock, err := lockRoot(root, path)
	if err != nil {
		return directory{}, nil, errors.Join(err, root.Close())
	}
	return directory{root, path}, lock, nil
}

// makeRoot makes the root directory if it is missing, so that others can get into it whatever the umask is.
func makeRoot(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) { //nolint:gosec // the operator names this directory
		return err
	}
	if err := os.MkdirAll(path, directoryMode); err != nil { //nolint:gosec // as above
		return err
	}
	return os.Chmod(path, directoryMode) //nolint:gosec // as above
}

// lockRoot checks who may replace what is in the root directory, and takes the lock that keeps a second process away.
func lockRoot(root *os.Root, path string) (*os.File, error) {
	self, err := root.Open(".")
	if err != nil {
		return nil, err
	}
	if err := checkRoot(self, path); err != nil {
		return nil, errors.Join(err, self.Close())
	}
	if err := lock(self); err != nil {
		err = fmt.Errorf("%s can't be locked: %w", path, err)
		if errors.Is(err, syscall.EWOULDBLOCK) {
			err = fmt.Errorf("another process keeps the volumes in %s: stop it, or choose another directory", path)
		}
		return nil, errors.Join(err, self.Close())
	}
	return self, nil
}

func checkRoot(self *os.File, path string) error {
	info, err := self.Stat()
	if err != nil {
		return err
	}
	if owner := ownerOf(info); owner != os.Geteuid() && owner != 0 {
		return fmt.Errorf("%s belongs to user %d, who could replace the files in it: give it to user %d, or choose another directory", path, owner, os.Geteuid())
	}
	if info.Mode().Perm()&worldWritable != 0 && info.Mode()&fs.ModeSticky == 0 {
		return fmt.Errorf("everybody can write to %s, and so replace the files in it: take that right away (chmod o-w), or choose another directory", path)
	}
	return nil
}

// open opens a directory in this one and makes it if it is missing. It follows no link: what is opened is what was looked at.
func (d directory) open(name string) (directory, error) {
	path := filepath.Join(d.path, name)
	if err := d.Mkdir(name, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return directory{}, err
	}
	seen, err := d.Lstat(name)
	if err != nil {
		return directory{}, err
	}
	if !seen.IsDir() {
		return directory{}, fmt.Errorf("%s is %s where the agent's directory should be: remove it", path, kindOf(seen))
	}
	root, err := d.OpenRoot(name)
	if err != nil {
		return directory{}, err
	}
	opened, err := root.Stat(".")
	switch {
	case err != nil:
	case !os.SameFile(seen, opened):
		err = fmt.Errorf("%s was replaced while it was opened: find out who writes to %s", path, d.path)
	case ownerOf(opened) != os.Geteuid():
		err = fmt.Errorf("%s belongs to user %d, and the agent runs as user %d: remove it, or run the agent as its owner", path, ownerOf(opened), os.Geteuid())
	}
	if err != nil {
		return directory{}, errors.Join(err, root.Close())
	}
	return directory{root, path}, nil
}

// openAll opens a directory further down.
func (d directory) openAll(names ...string) (directory, error) {
	at := d
	for i, name := range names {
		next, err := at.open(name)
		if i > 0 {
			err = errors.Join(err, at.Close())
		}
		if err != nil {
			return directory{}, err
		}
		at = next
		if i == len(names)-1 {
			return at, nil
		}
		if err := at.own(ownership{mode: directoryMode, uid: unset, gid: os.Getegid()}); err != nil {
			return directory{}, errors.Join(err, at.Close())
		}
	}
	return at, nil
}

// own gives the directory itself a mode and an owner.
func (d directory) own(o ownership) error {
	self, err := d.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(o.apply(self), self.Close())
}

// kindOf names what a file is.
func kindOf(info fs.FileInfo) string {
	switch {
	case info.IsDir():
		return "a directory"
	case info.Mode()&fs.ModeSymlink != 0:
		return "a symbolic link"
	case info.Mode().IsRegular():
		return "a file"
	}
	return "a special file"
}
