//go:build unix

package datadir_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/datadir"
)

// filled returns a data directory that a server has used.
func filled(t *testing.T) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "data dir")
	dir, err := datadir.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := dir.Ensure(t.Context(), wantedOf(newIssuer(t, nil, "authority")), time.Now()); err != nil {
		t.Fatal(err)
	}
	if err := dir.Close(); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"etcd", "etcd/member", "etcd/member/snap"} {
		must(t, os.Mkdir(filepath.Join(path, name), 0o700))
	}
	for _, name := range []string{"ca.key", "service-account.key", "etcd/member/snap/db"} {
		must(t, os.WriteFile(filepath.Join(path, name), nil, 0o600))
	}
	return path
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// TestUnsafeDirectories spoils one thing in a data directory. The error says what it is, and the command in it mends it.
func TestUnsafeDirectories(t *testing.T) {
	chmod := func(name string, mode fs.FileMode) func(string) error {
		return func(path string) error { return os.Chmod(filepath.Join(path, name), mode) }
	}
	replace := func(name string, with func(path, file string) error) func(string) error {
		return func(path string) error {
			file := filepath.Join(path, name)
			return errors.Join(os.Rename(file, file+".old"), with(path, file))
		}
	}
	link := func(_, file string) error { return os.Symlink(filepath.Base(file)+".old", file) }
	pipe := func(_, file string) error { return syscall.Mkfifo(file, 0o600) }
	folder := func(_, file string) error { return os.Mkdir(file, 0o700) }
	hard := func(_, file string) error { return os.Link(file+".old", file) }
	for name, test := range map[string]struct {
		spoil func(path string) error
		want  string
	}{
		"everybody may write":            {chmod("", 0o777), "can be written by others (mode 0777): chmod go-w "},
		"the group may write":            {chmod("", 0o770), "can be written by others (mode 0770): chmod go-w "},
		"sticky and open":                {chmod("", 0o777|fs.ModeSticky), "can be written by others (mode 0777): chmod go-w "},
		"authority's key readable":       {chmod("ca.key", 0o644), "ca.key can be read by others (mode 0644), and it is secret: chmod go= "},
		"readable by the group":          {chmod("ca.key", 0o640), "ca.key can be read by others (mode 0640), and it is secret: chmod go= "},
		"serving key":                    {chmod("serving.key", 0o644), "serving.key can be read by others"},
		"signing key":                    {chmod("service-account.key", 0o604), "service-account.key can be read by others (mode 0604)"},
		"kubeconfig":                     {chmod("admin.kubeconfig", 0o644), "admin.kubeconfig can be read by others"},
		"authority writable":             {chmod("ca.crt", 0o666), "ca.crt can be written by others (mode 0666): chmod go-w "},
		"lock writable":                  {chmod("lock", 0o666), "lock can be written by others (mode 0666): chmod go= "},
		"store readable":                 {chmod("etcd", 0o755), "etcd can be read by others (mode 0755), and it is secret: chmod go= "},
		"store writable":                 {chmod("etcd", 0o777), "etcd can be written by others (mode 0777): chmod go= "},
		"in the store":                   {chmod("etcd/member", 0o777), "etcd/member can be written by others"},
		"database writable":              {chmod("etcd/member/snap/db", 0o666), "etcd/member/snap/db can be written by others"},
		"lock is a link":                 {replace("lock", link), "lock is a symbolic link, and none is followed here; remove it: rm "},
		"key is a link":                  {replace("ca.key", link), "ca.key is a symbolic link, and none is followed here; put the file itself there: cp -pL "},
		"certificate is a link":          {replace("ca.crt", link), "ca.crt is a symbolic link"},
		"store is a link":                {replace("etcd", link), "etcd is a symbolic link"},
		"database is a link":             {replace("etcd/member/snap/db", link), "db is a symbolic link"},
		"key is a pipe":                  {replace("ca.key", pipe), "ca.key is a named pipe, not a file; remove it: rm "},
		"lock is a pipe":                 {replace("lock", pipe), "lock is a named pipe, not a file"},
		"database is a pipe":             {replace("etcd/member/snap/db", pipe), "db is a named pipe, not a file"},
		"key is a directory":             {replace("ca.key", folder), "ca.key is a directory, not a file; move it away: mv "},
		"key with a second name":         {replace("ca.key", hard), "ca.key has 2 names (hard links)"},
		"lock with a second name":        {replace("lock", hard), "lock has 2 names (hard links)"},
		"database with a second name":    {replace("etcd/member/snap/db", hard), "db has 2 names (hard links)"},
		"public certificate, group read": {chmod("ca.crt", 0o640), ""},
		"readable directory":             {chmod("", 0o755), ""},
	} {
		t.Run(name, func(t *testing.T) {
			path := filled(t)
			must(t, test.spoil(path))
			dir, err := datadir.Open(path)
			if test.want == "" {
				must(t, err)
				must(t, dir.Close())
				return
			}
			if err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), path) {
				t.Fatalf("error %v; want %q", err, test.want)
			}
			mend(t, err)
			dir, err = datadir.Open(path)
			must(t, err)
			must(t, dir.Close())
		})
	}
}

// mend runs the commands that an error names.
func mend(t *testing.T, err error) {
	t.Helper()
	for _, line := range strings.Split(err.Error(), "\n")[1:] {
		_, command, found := strings.Cut(line, ": ")
		if !found {
			t.Fatalf("no command in %q", line)
		}
		if output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v: %s", command, err, output)
		}
	}
}

// TestEverythingUnsafeIsNamed checks that one start names all that is wrong.
func TestEverythingUnsafeIsNamed(t *testing.T) {
	path := filled(t)
	for _, name := range []string{"", "ca.key", "admin.kubeconfig", "etcd"} {
		must(t, os.Chmod(filepath.Join(path, name), 0o777))
	}
	_, err := datadir.Open(path)
	if err == nil || strings.Count(err.Error(), "chmod") != 4 {
		t.Fatalf("error %v does not name four modes", err)
	}
	mend(t, err)
	open(t, path)
}

// TestLinkedLockIsLeftAlone: the lock is truncated when it is taken, and another file must not be.
func TestLinkedLockIsLeftAlone(t *testing.T) {
	other := filepath.Join(t.TempDir(), "other")
	must(t, os.WriteFile(other, []byte("precious"), 0o600))
	for name, plant := range map[string]func(string, string) error{"symbolic": os.Symlink, "hard": os.Link} {
		path := t.TempDir()
		must(t, plant(other, filepath.Join(path, "lock")))
		if dir, err := datadir.Open(path); err == nil {
			_ = dir.Close()
			t.Errorf("a %s link is taken for the lock", name)
		}
		if got, err := os.ReadFile(other); err != nil || string(got) != "precious" {
			t.Errorf("after a %s link the other file holds %q, error %v", name, got, err)
		}
	}
}

// asAnother opens a directory for a user to whom some files do not belong: as root by giving them away, otherwise as
// another user sees them.
func asAnother(t *testing.T, path string, foreign ...string) error {
	t.Helper()
	const nobody = 65534
	uid := os.Geteuid()
	if uid == 0 {
		for _, name := range foreign {
			must(t, os.Lchown(name, nobody, nobody))
		}
	} else {
		uid++
	}
	dir, err := datadir.OpenAs(uid, path)
	if err == nil {
		_ = dir.Close()
	}
	return err
}

// TestForeignOwners: an owner can change what is theirs, whatever its mode.
func TestForeignOwners(t *testing.T) {
	t.Run("directory", func(t *testing.T) {
		path := filled(t)
		err := asAnother(t, path, path)
		if err == nil || !strings.Contains(err.Error(), " belongs to the user ") {
			t.Errorf("error %v", err)
		}
	})
	t.Run("directory above", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "above", "data")
		must(t, os.MkdirAll(path, 0o700))
		err := asAnother(t, path, filepath.Dir(path))
		if err == nil || !strings.Contains(err.Error(), "above the data directory, belongs to the user ") {
			t.Errorf("error %v", err)
		}
	})
	for _, name := range []string{"ca.key", "ca.crt", "lock", "service-account.key", "etcd", "etcd/member", "etcd/member/snap/db"} {
		t.Run(name, func(t *testing.T) {
			if os.Geteuid() != 0 {
				t.Skip("only root can give one file away: TestForeignOwners/" + name)
			}
			path := filled(t)
			err := asAnother(t, path, filepath.Join(path, name))
			if err == nil || !strings.Contains(err.Error(), filepath.Join(path, name)+" belongs to the user ") {
				t.Errorf("error %v", err)
			}
		})
	}
	t.Run("symbolic link", func(t *testing.T) {
		if os.Geteuid() != 0 {
			t.Skip("only root can give a link away: TestForeignOwners/symbolic_link")
		}
		link := filepath.Join(t.TempDir(), "link")
		must(t, os.Symlink(filled(t), link))
		if err := asAnother(t, link, link); err == nil || !strings.Contains(err.Error(), "is a symbolic link of the user ") {
			t.Errorf("error %v", err)
		}
	})
}

// TestDirectoriesAbove: whoever can write a directory above can put another in the place of the data directory.
func TestDirectoriesAbove(t *testing.T) {
	for _, test := range []struct {
		mode fs.FileMode
		want string
	}{
		{0o755, ""},
		{0o775, ""}, // the process is in the group
		{0o777 | fs.ModeSticky, ""},
		{0o777, "can be written by everybody (mode 0777): name a directory elsewhere with --data-dir, or mend it with: chmod o-w "},
		{0o757, "can be written by everybody (mode 0757)"},
	} {
		t.Run(fmt.Sprint(test.mode), func(t *testing.T) {
			above := filepath.Join(t.TempDir(), "above")
			must(t, os.Mkdir(above, 0o700))
			must(t, os.Chmod(above, test.mode))
			for _, below := range []string{"data", "not/yet/there"} {
				dir, err := datadir.Open(filepath.Join(above, below))
				if err == nil {
					_ = dir.Close()
				}
				if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
					t.Errorf("%s: error %v; want %q", below, err, test.want)
				}
			}
		})
	}
}

// TestLinkToTheDirectory: a data directory may be named by a symbolic link, if the directory it leads to is safe.
func TestLinkToTheDirectory(t *testing.T) {
	base := t.TempDir()
	must(t, os.Mkdir(filepath.Join(base, "real"), 0o700))
	must(t, os.Symlink("real", filepath.Join(base, "link")))
	must(t, os.Symlink("loop", filepath.Join(base, "loop")))
	open(t, filepath.Join(base, "link"))
	if _, err := os.Stat(filepath.Join(base, "real", "lock")); err != nil {
		t.Error(err)
	}
	if _, err := datadir.Open(filepath.Join(base, "loop")); err == nil || !strings.Contains(err.Error(), "symbolic links") {
		t.Errorf("error %v", err)
	}
	must(t, os.Mkdir(filepath.Join(base, "open"), 0o700))
	must(t, os.Chmod(filepath.Join(base, "open"), 0o777))
	must(t, os.Symlink("open/data", filepath.Join(base, "out")))
	if _, err := datadir.Open(filepath.Join(base, "out")); err == nil || !strings.Contains(err.Error(), "can be written by everybody") {
		t.Errorf("error %v", err)
	}
}

// TestModesWhateverTheUmask looks at the modes of what is made. It changes the umask of the process, so it is not parallel.
func TestModesWhateverTheUmask(t *testing.T) {
	for _, umask := range []int{0, 0o022, 0o077, 0o277} {
		t.Run(fmt.Sprintf("%03o", umask), func(t *testing.T) {
			base := t.TempDir()
			defer syscall.Umask(syscall.Umask(umask))
			path := filepath.Join(base, "above", "data")
			dir := open(t, path)
			ensure(t, dir, wantedOf(newIssuer(t, nil, "authority")), time.Now())
			_, err := dir.MakeKeyEncryptionKey()
			must(t, err)
			_, err = dir.ServerName()
			must(t, err)
			for name, want := range map[string]fs.FileMode{
				"..": 0o700, "": 0o700, "lock": 0o600, "ca.crt": 0o644, "key-encryption.key": 0o600, "server-name": 0o600,
				"serving.crt": 0o644, "serving.key": 0o600, "admin.kubeconfig": 0o600,
			} {
				info, err := os.Stat(filepath.Join(path, name))
				if err != nil || info.Mode().Perm() != want {
					t.Errorf("%q: mode %v, error %v; want %v", name, info.Mode().Perm(), err, want)
				}
			}
		})
	}
}
