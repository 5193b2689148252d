package datadir

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/mintmark/mintmark/internal/shell"
)

const (
	// writableByOthers are the mode bits that let group or world write.
	writableByOthers fs.FileMode = 0o022
	// openToOthers are all mode bits of group and world.
	openToOthers fs.FileMode = 0o077
	// maxLinks is how many symbolic links a path may have, as in Linux.
	maxLinks = 40
)

// owner says who owns a file, and how many names it has.
type owner struct {
	uid, gid int
	links    uint64
}

// caller is the user that the process acts as, and its use of a directory.
type caller struct {
	Use

	uid, gid int
	groups   []int
}

// trusts reports whether a file of this owner is relied upon. Root can change every file anyway.
func (c caller) trusts(o owner) bool { return o.uid == c.uid || o.uid == 0 }

// inGroup reports whether the process is in a group.
func (c caller) inGroup(gid int) bool {
	return gid == c.gid || gid == 0 || slices.Contains(c.groups, gid)
}

// resolve follows the symbolic links of a path and checks every directory on the way: nobody but the caller and root may be
// able to put another directory in the place of the one that is returned. What does not exist yet is returned as it is.
func (c caller) resolve(path string) (string, error) {
	at, rest := string(filepath.Separator), split(path)
	if err := c.checkParent(at); err != nil {
		return "", err
	}
	for links := 0; len(rest) > 0; {
		name := rest[0]
		rest = rest[1:]
		if name == ".." {
			at = filepath.Dir(at)
			continue
		}
		next := filepath.Join(at, name)
		info, err := os.Lstat(next)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return filepath.Join(append([]string{next}, rest...)...), nil
		case err != nil:
			return "", err
		case info.Mode()&fs.ModeSymlink != 0:
			if links++; links > maxLinks {
				return "", fmt.Errorf("%s leads through more than %d symbolic links", path, maxLinks)
			}
			target, err := c.readLink(next, info)
			if err != nil {
				return "", err
			}
			if filepath.IsAbs(target) {
				at = string(filepath.Separator)
			}
			rest = append(split(target), rest...)
		case !info.IsDir():
			return "", fmt.Errorf("%s is %s, not a directory: name another with %s", next, kind(info.Mode()), c.Flag)
		default:
			if len(rest) > 0 {
				if err := c.checkParent(next); err != nil {
					return "", err
				}
			}
			at = next
		}
	}
	return at, nil
}

// split returns the names that a path consists of.
func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, string(filepath.Separator)), func(name string) bool { return name == "" || name == "." })
}

// readLink returns the target of a symbolic link, unless another user could have set it.
func (c caller) readLink(name string, info fs.FileInfo) (string, error) {
	if o, known := ownership(info); known && !c.trusts(o) {
		return "", fmt.Errorf("%s, on the way to the %s, is a symbolic link of %s, who could lead it elsewhere: name the directory itself with %s", name, c.Noun, userName(o.uid), c.Flag)
	}
	return os.Readlink(name)
}

// checkParent checks a directory above the one that is opened. A sticky one, such as /tmp, may be written by everybody: only
// the owner of an entry can rename it there. A group that the process is in may write, since many systems give every
// user such a group.
func (c caller) checkParent(dir string) error {
	info, err := os.Lstat(dir)
	if err != nil {
		return err
	}
	o, known := ownership(info)
	if !known {
		return nil
	}
	remedy := "name a directory elsewhere with " + c.Flag + ", or mend it with: "
	switch {
	case !c.trusts(o):
		return fmt.Errorf("%s, above the %s, belongs to %s, who could put another directory in its place: %schown %d %s", dir, c.Noun, userName(o.uid), remedy, c.uid, shell.Quote(dir))
	case info.Mode()&fs.ModeSticky != 0:
		return nil
	case info.Mode()&0o002 != 0:
		return fmt.Errorf("%s, above the %s, can be written by everybody (mode %04o): %schmod o-w %s", dir, c.Noun, info.Mode().Perm(), remedy, shell.Quote(dir))
	case info.Mode()&0o020 != 0 && !c.inGroup(o.gid):
		return fmt.Errorf("%s, above the %s, can be written by the group %d (mode %04o): %schmod g-w %s", dir, c.Noun, o.gid, info.Mode().Perm(), remedy, shell.Quote(dir))
	}
	return nil
}

// check looks at the data directory and at all that the server keeps in it: owner, mode, type and hard links. It returns one
// error that names everything that is wrong, each with the command that mends it.
func (c caller) check(path string, root *os.Root) error {
	info, err := root.Stat(".")
	if err != nil {
		return err
	}
	if err := c.checkOwner(path, info); err != nil {
		return fmt.Errorf("the %s %s is not safe to use:\n%w", c.Noun, path, err) // all in it is in doubt
	}
	problems := []error{c.checkDir(path, info, writableByOthers)}
	for _, name := range c.Files {
		info, err := root.Lstat(name)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		forbidden := openToOthers
		if slices.Contains(c.Public, name) {
			forbidden = writableByOthers
		}
		problems = append(problems, c.checkFile(filepath.Join(path, name), info, forbidden))
	}
	stored, err := c.checkStore(path, root)
	if err != nil {
		return err
	}
	if err := errors.Join(append(problems, stored...)...); err != nil {
		return fmt.Errorf("the %s %s is not safe to use:\n%w", c.Noun, path, err)
	}
	return nil
}

// checkStore looks at the directory of the store and everything below it.
func (c caller) checkStore(path string, root *os.Root) (problems []error, err error) {
	if info, err := root.Lstat(Store); err == nil && !info.IsDir() {
		return []error{c.checkDir(filepath.Join(path, Store), info, openToOthers)}, nil
	}
	err = fs.WalkDir(root.FS(), Store, func(name string, entry fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // never made, or removed meanwhile
		}
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		full := filepath.Join(path, filepath.FromSlash(name))
		switch {
		case info.IsDir() && name == Store:
			problems = append(problems, c.checkDir(full, info, openToOthers))
		case info.IsDir():
			problems = append(problems, c.checkDir(full, info, writableByOthers))
		case info.Mode()&fs.ModeSocket != 0:
			problems = append(problems, c.checkOwner(full, info))
		case strings.HasSuffix(name, ".snap"):
			// etcd gives them the mode that the umask leaves. They hold indexes only, in a directory closed to others.
			problems = append(problems, c.checkFile(full, info, 0))
		default:
			problems = append(problems, c.checkFile(full, info, writableByOthers))
		}
		return nil
	})
	return problems, err
}

// checkDir checks a directory, which must have none of the forbidden mode bits.
func (c caller) checkDir(name string, info fs.FileInfo, forbidden fs.FileMode) error {
	if !info.IsDir() {
		return fmt.Errorf("  %s is %s, not a directory; move it away: mv %s", name, kind(info.Mode()), shell.Quote(name)+" "+shell.Quote(name+".away"))
	}
	if err := c.checkOwner(name, info); err != nil {
		return err
	}
	return c.checkMode(name, info, forbidden)
}

// checkFile checks a file, which must have none of the forbidden mode bits.
func (c caller) checkFile(name string, info fs.FileInfo, forbidden fs.FileMode) error {
	from, to := shell.Quote(name), shell.Quote(name+".new")
	switch {
	case info.Mode()&fs.ModeSymlink != 0 && filepath.Base(name) == lockFile:
		return fmt.Errorf("  %s is a symbolic link, and none is followed here; remove it: rm %s", name, from)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("  %s is a symbolic link, and none is followed here; put the file itself there: cp -pL %s %s && mv %s %s", name, from, to, to, from)
	case info.IsDir():
		return fmt.Errorf("  %s is a directory, not a file; move it away: mv %s %s", name, from, shell.Quote(name+".away"))
	case !info.Mode().IsRegular():
		return fmt.Errorf("  %s is %s, not a file; remove it: rm %s", name, kind(info.Mode()), from)
	}
	if err := c.checkOwner(name, info); err != nil {
		return err
	}
	if o, known := ownership(info); known && o.links > 1 {
		return fmt.Errorf("  %s has %d names (hard links), so it can be changed, or change another file, elsewhere; give it one of its own: cp -p %s %s && mv -f %s %s",
			name, o.links, from, to, to, from)
	}
	return c.checkMode(name, info, forbidden)
}

func (c caller) checkOwner(name string, info fs.FileInfo) error {
	o, known := ownership(info)
	if !known || c.trusts(o) {
		return nil
	}
	return fmt.Errorf("  %s belongs to %s, who could put keys of their own there; name another directory with %s or, if everything in it is yours, take it over: chown -R %d %s",
		name, userName(o.uid), c.Flag, c.uid, shell.Quote(name))
}

func (c caller) checkMode(name string, info fs.FileInfo, forbidden fs.FileMode) error {
	if _, known := ownership(info); !known {
		return nil
	}
	mode := info.Mode().Perm()
	switch wrong := mode & forbidden; {
	case wrong == 0:
		return nil
	case wrong&writableByOthers != 0 && forbidden == writableByOthers:
		return fmt.Errorf("  %s can be written by others (mode %04o): chmod go-w %s", name, mode, shell.Quote(name))
	case wrong&writableByOthers != 0:
		return fmt.Errorf("  %s can be written by others (mode %04o): chmod go= %s", name, mode, shell.Quote(name))
	default:
		return fmt.Errorf("  %s can be read by others (mode %04o), and it is secret: chmod go= %s", name, mode, shell.Quote(name))
	}
}

// kind names the type of a file.
func kind(mode fs.FileMode) string {
	switch {
	case mode.IsDir():
		return "a directory"
	case mode.IsRegular():
		return "a file"
	case mode&fs.ModeSymlink != 0:
		return "a symbolic link"
	case mode&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case mode&fs.ModeSocket != 0:
		return "a socket"
	}
	return "a device"
}

func userName(uid int) string {
	if found, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		return fmt.Sprintf("the user %s (%d)", found.Username, uid)
	}
	return fmt.Sprintf("the user %d", uid)
}
