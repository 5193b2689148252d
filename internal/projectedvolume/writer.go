package projectedvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

const (
	// dataLink leads to the directory with the files.
	dataLink = "..data"
	// newDataLink becomes dataLink by a rename.
	newDataLink = "..data_tmp"
)

// dataDirectory is the name of a directory with files: the time, and a number.
var dataDirectory = regexp.MustCompile(`^\.\.\d{4}_\d\d_\d\d_\d\d_\d\d_\d\d\.\d+$`)

// file is a file of a volume.
type file struct {
	content []byte
	ownership
}

// fileSet is all that is in a volume, by clean paths.
type fileSet map[string]file

// names are the first elements of the paths.
func (s fileSet) names() map[string]bool {
	names := map[string]bool{}
	for p := range s {
		names[first(p)] = true
	}
	return names
}

// user is the owner of the link of a name: that of the files that it leads to.
func (s fileSet) user(name string) int {
	for p, f := range s {
		if first(p) == name && f.uid != unset {
			return f.uid
		}
	}
	return unset
}

// write makes the files of a volume those of the set, and reports whether they were others before. If it can't, the old files are
// still there, all of them. Replaced files stay until sweep, so that a reader on the way to one still finds it.
//
// A new set is on the disk before it is linked. So a loss of power leaves no empty file, even though tokens could be had again.
func write(volume directory, set fileSet, o owners, now time.Time) (changed bool, err error) {
	if err := checkNested(set); err != nil {
		return false, err
	}
	if err := sweep(volume); err != nil {
		return false, err
	}
	if err := volume.own(o.directory()); err != nil {
		return false, err
	}
	missing, err := missingLinks(volume, set)
	if err != nil {
		return false, err
	}
	if old, ok := current(volume); ok && sameFiles(volume, old, set) && len(missing) == 0 {
		return false, removeLinks(volume, set)
	}
	name := fmt.Sprintf("..%s.%d", now.UTC().Format("2006_01_02_15_04_05"), rand.Uint32()) //nolint:gosec // the name of a directory is no secret
	if err := build(volume, name, set, o); err != nil {
		return false, errors.Join(outOfSpace(volume, err), volume.RemoveAll(name))
	}
	if err := swap(volume, name, missing, set, o); err != nil {
		return false, errors.Join(outOfSpace(volume, err), volume.RemoveAll(name))
	}
	return true, removeLinks(volume, set)
}

// current returns the directory that dataLink leads to. A link to anything but such a directory counts as none.
func current(volume directory) (string, bool) {
	name, err := volume.Readlink(dataLink)
	if err != nil || !dataDirectory.MatchString(name) {
		return "", false
	}
	info, err := volume.Lstat(name)
	return name, err == nil && info.IsDir()
}

// sweep removes the directories and links that a write leaves behind: the replaced files, and all of a write that was cut short.
func sweep(volume directory) error {
	keep, _ := current(volume)
	entries, err := fs.ReadDir(volume.FS(), ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") && name != dataLink && name != keep {
			err = errors.Join(err, volume.RemoveAll(name))
		}
	}
	return err
}

// missingLinks returns the names that have no link yet. A name that something else has taken is an error.
func missingLinks(volume directory, set fileSet) ([]string, error) {
	var missing []string
	for _, name := range slices.Sorted(maps.Keys(set.names())) {
		info, err := volume.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return nil, err
		}
		if !isLink(volume, name) {
			return nil, fmt.Errorf("%s is %s that the agent did not make: remove it", filepath.Join(volume.path, name), kindOf(info))
		}
	}
	if info, err := volume.Lstat(dataLink); err == nil && info.Mode()&fs.ModeSymlink == 0 {
		return nil, fmt.Errorf("%s is %s that the agent did not make: remove it", filepath.Join(volume.path, dataLink), kindOf(info))
	}
	return missing, nil
}

// isLink reports whether a name in the volume is the link to the file or directory of that name.
func isLink(volume directory, name string) bool {
	target, err := volume.Readlink(name)
	return err == nil && target == linkTarget(name)
}

func linkTarget(name string) string { return dataLink + "/" + name }

// removeLinks removes the links to files that are not in the set.
func removeLinks(volume directory, set fileSet) error {
	entries, err := fs.ReadDir(volume.FS(), ".")
	if err != nil {
		return err
	}
	names := set.names()
	for _, entry := range entries {
		if name := entry.Name(); !names[name] && isLink(volume, name) {
			err = errors.Join(err, volume.Remove(name))
		}
	}
	return err
}

// sameFiles reports whether a directory holds the files of the set, with their modes and owners, and nothing else.
func sameFiles(volume directory, name string, set fileSet) bool {
	root, err := volume.OpenRoot(name)
	if err != nil {
		return false
	}
	defer root.Close() //nolint:errcheck // it was read only
	found := 0
	err = fs.WalkDir(root.FS(), ".", func(p string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		wanted, ok := set[p]
		info, err := root.Lstat(p)
		if err != nil || !ok || !info.Mode().IsRegular() || !wanted.matches(info) {
			return errors.Join(fs.ErrNotExist, err)
		}
		content, err := root.ReadFile(p)
		if err != nil || string(content) != string(wanted.content) {
			return errors.Join(fs.ErrNotExist, err)
		}
		found++
		return nil
	})
	return err == nil && found == len(set)
}

// build writes a set into a new directory.
func build(volume directory, name string, set fileSet, o owners) error {
	into, err := volume.open(name)
	if err != nil {
		return err
	}
	made := map[string]bool{".": true}
	for p, f := range set {
		for parent := path.Dir(p); !made[parent]; parent = path.Dir(parent) {
			made[parent] = true
		}
		if err = into.MkdirAll(path.Dir(p), 0o700); err == nil {
			err = into.create(p, f)
		}
		if err != nil {
			return errors.Join(err, into.Close())
		}
	}
	// The directory itself comes last: nobody gets in before all is there.
	for _, p := range slices.Backward(slices.Sorted(maps.Keys(made))) {
		err = errors.Join(err, into.finish(p, o.directory()))
	}
	return errors.Join(err, into.Close())
}

// create writes one file.
func (d directory) create(p string, f file) error {
	out, err := d.OpenFile(p, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	_, err = out.Write(f.content)
	if err == nil {
		err = f.apply(out)
	}
	if err == nil {
		err = out.Sync()
	}
	return errors.Join(err, out.Close())
}

// finish gives a directory its mode and owner when all is in it.
func (d directory) finish(p string, o ownership) error {
	self, err := d.Open(p)
	if err != nil {
		return err
	}
	err = o.apply(self)
	if failed := self.Sync(); failed != nil && !errors.Is(failed, syscall.EINVAL) && !errors.Is(failed, errors.ErrUnsupported) {
		err = errors.Join(err, failed)
	}
	return errors.Join(err, self.Close())
}

// swap makes the files in a directory those of the volume. Links to new names come first: they lead nowhere until dataLink does, so
// all files appear, and change, in the one moment of the rename.
func swap(volume directory, name string, missing []string, set fileSet, o owners) error {
	made := []string{newDataLink}
	err := volume.Symlink(name, newDataLink)
	for _, link := range missing {
		if err == nil {
			made = append(made, link)
			err = volume.Symlink(linkTarget(link), link)
		}
	}
	for _, link := range made {
		if user := set.user(link); err == nil && (user != unset || o.group != nil) {
			err = volume.Lchown(link, user, o.gid())
		}
	}
	if err == nil {
		err = volume.Rename(newDataLink, dataLink)
	}
	if err != nil {
		for _, link := range made {
			_ = volume.Remove(link)
		}
	}
	return err
}

// outOfSpace says what to do when the disk is full.
func outOfSpace(volume directory, err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) || errors.Is(err, syscall.EFBIG) {
		return fmt.Errorf("no room for new files in %s, and the old ones stay: make room on that file system: %w", volume.path, err)
	}
	return err
}
