package projectedvolume

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// noon is when the tests write.
var noon = time.Date(2026, 1, 2, 12, 0, 0, 0, time.UTC)

// inMemory is a directory for a test that writes much: on a tmpfs if there is one.
func inMemory(t *testing.T) string {
	t.Helper()
	path, err := os.MkdirTemp("/dev/shm", "projectedvolume") //nolint:usetesting // t.TempDir may be on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(path) })
	return path
}

// openVolume opens the volume "v" of a pod "ns_p" below a root directory.
func openVolume(t testing.TB, root string) directory {
	t.Helper()
	volume, err := tryVolume(t, root)
	if err != nil {
		t.Fatal(err)
	}
	return volume
}

func tryVolume(t testing.TB, root string) (directory, error) {
	top, lock, err := openRoot(root)
	if err != nil {
		return directory{}, err
	}
	t.Cleanup(func() { lock.Close(); top.Close() })
	volume, err := top.openAll("pods", "ns_p", "volumes", "v")
	if err == nil {
		t.Cleanup(func() { volume.Close() })
	}
	return volume, err
}

// setOf is a set of files that all have the same content, readable by all.
func setOf(content string, paths ...string) fileSet {
	set := fileSet{}
	for _, p := range paths {
		set[p] = file{[]byte(content), owners{}.file(0o644)}
	}
	return set
}

func mustWrite(t *testing.T, volume directory, set fileSet) bool {
	t.Helper()
	changed, err := write(volume, set, owners{}, noon)
	if err != nil {
		t.Fatal(err)
	}
	return changed
}

// contents are the files that a reader finds in a directory, by path, through its links.
func contents(t *testing.T, path string) map[string]string {
	t.Helper()
	found := map[string]string{}
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, entry := range entries {
		name := entry.Name()
		if strings.HasPrefix(name, "..") {
			continue
		}
		info, err := os.Stat(filepath.Join(path, name))
		if errors.Is(err, fs.ErrNotExist) {
			continue // a link to a file that is not there yet
		}
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			for below, content := range contents(t, filepath.Join(path, name)) {
				found[name+"/"+below] = content
			}
			continue
		}
		content, err := os.ReadFile(filepath.Join(path, name))
		if err != nil {
			t.Fatal(err)
		}
		found[name] = string(content)
	}
	return found
}

// names are all names in a directory.
func names(t *testing.T, path string) []string {
	t.Helper()
	entries, err := os.ReadDir(path)
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, entry := range entries {
		found = append(found, entry.Name())
	}
	return found
}

func TestPaths(t *testing.T) {
	long := strings.Repeat("n", 256)
	for written, want := range map[string]string{
		"token": "token", "./token": "token", "token/": "token", "a//b": "a/b", "a/./b": "a/b", "..a/../b": "", `a\..\b`: `a\..\b`, "a..b": "a..b", "a/..data": "a/..data",
		"": "", "/etc/passwd": "", "..": "", "../x": "", "a/../../x": "", "a/..": "", "..data": "", "./..data": "", ".//..data": "", "...": "", "./...": "", ".": "", "./": "", "././.": "",
		long: "", "a/" + long: "", strings.Repeat("n", 255): strings.Repeat("n", 255), strings.Repeat("d/", 2048) + "x": "", "a\x00b": "",
	} {
		got, err := cleanPath(written)
		if got != want || (err == nil) != (want != "") {
			t.Errorf("%.40q becomes %.40q, %v; want %.40q", written, got, err, want)
		}
		if err != nil && (!isPermanent(err) || !strings.HasPrefix(err.Error(), "invalid path: ")) {
			t.Errorf("%.40q: %v", written, err)
		}
	}
	for _, paths := range [][]string{{"a", "a/b"}, {"a/b/c", "a"}, {"x/y/z", "x/y"}} {
		if _, err := write(openVolume(t, t.TempDir()), setOf("", paths...), owners{}, noon); err == nil {
			t.Errorf("%q can be files of one volume", paths)
		}
	}
}

func TestLayout(t *testing.T) {
	root := t.TempDir()
	volume := openVolume(t, root)
	if !mustWrite(t, volume, setOf("one", "token", "a/b/c", "gone")) {
		t.Error("the first set is no change")
	}
	data, _ := current(volume)
	if !strings.HasPrefix(data, "..2026_01_02_12_00_00.") {
		t.Errorf("the files are in %s", data)
	}
	for link, want := range map[string]string{"..data": data, "token": "..data/token", "a": "..data/a", "gone": "..data/gone"} {
		if got, err := os.Readlink(filepath.Join(volume.path, link)); got != want {
			t.Errorf("%s leads to %q, %v; want %q", link, got, err, want)
		}
	}
	if mustWrite(t, volume, setOf("one", "token", "a/b/c", "gone")) {
		t.Error("the same set is a change")
	}
	if now, _ := current(volume); now != data {
		t.Error("the same set was written again")
	}
	if !mustWrite(t, volume, setOf("two", "token", "a/b/c", "new")) {
		t.Error("another set is no change")
	}
	if diff := cmp.Diff(map[string]string{"token": "two", "a/b/c": "two", "new": "two"}, contents(t, volume.path)); diff != "" {
		t.Error(diff)
	}
	if now, _ := current(volume); !slices.Equal(names(t, volume.path), slices.Sorted(slices.Values([]string{data, now, "..data", "a", "new", "token"}))) {
		t.Errorf("in the volume are %q", names(t, volume.path))
	}
	if err := sweep(volume); err != nil || slices.Contains(names(t, volume.path), data) {
		t.Errorf("after the sweep: %v, %q", err, names(t, volume.path))
	}
	set := setOf("two", "token", "a/b/c", "new")
	set["token"] = file{[]byte("two"), owners{}.file(0o600)}
	if !mustWrite(t, volume, set) {
		t.Error("another mode is no change")
	}
	os.Remove(filepath.Join(volume.path, "token"))
	if mustWrite(t, volume, set); contents(t, volume.path)["token"] != "two" {
		t.Error("a link that was removed is not made again")
	}
	if !mustWrite(t, volume, fileSet{}) || len(contents(t, volume.path)) > 0 {
		t.Errorf("the empty set is %q", contents(t, volume.path))
	}
}

func TestCrashLeavesNothingBehind(t *testing.T) {
	volume := openVolume(t, t.TempDir())
	mustWrite(t, volume, setOf("old", "token"))
	at := func(name string) string { return filepath.Join(volume.path, name) }
	os.Symlink("..2026_01_01_00_00_00.1", at("..data_tmp"))
	os.MkdirAll(at("..2026_01_01_00_00_00.1/a"), 0o755)
	os.WriteFile(at("..2026_01_01_00_00_00.1/a/token"), []byte("half"), 0o644)
	os.Symlink("..data/never", at("never"))
	for _, content := range []string{"old", "new"} {
		mustWrite(t, volume, setOf(content, "token"))
		if err := sweep(volume); err != nil {
			t.Error(err)
		}
		data, _ := current(volume)
		if got := names(t, volume.path); !slices.Equal(got, []string{data, "..data", "token"}) {
			t.Errorf("in the volume are %q", got)
		}
	}
}
