package projectedvolume

import (
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// outside is a directory that nothing may be written to, with a file in it.
func outside(t *testing.T) string {
	t.Helper()
	path := t.TempDir()
	if err := os.MkdirAll(filepath.Join(path, "ns_p", "volumes", "v"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(path, "token"), []byte("not ours"), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// tree describes all that is in a directory.
func tree(t *testing.T, path string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(path, func(p string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		all.WriteString(p + " " + info.Mode().String() + "\n")
		if info.Mode().IsRegular() {
			content, err := os.ReadFile(p)
			all.Write(content)
			return err
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return all.String()
}

// TestPlanted plants links, files and directories wherever the agent goes.
func TestPlanted(t *testing.T) {
	const volume = "pods/ns_p/volumes/v/"
	for name, test := range map[string]struct {
		at, target string
		// want is in the error, or empty if the write succeeds all the same.
		want string
	}{
		"the directory of all pods":        {"pods", "%", "is a symbolic link where"},
		"the directory of the pod":         {"pods/ns_p", "%", "is a symbolic link where"},
		"the pod is another pod":           {"pods/ns_p", "ns_other", "is a symbolic link where"},
		"the volumes":                      {"pods/ns_p/volumes", "%", "is a symbolic link where"},
		"the volume":                       {"pods/ns_p/volumes/v", "%", "is a symbolic link where"},
		"the volume is another one":        {"pods/ns_p/volumes/v", "w", "is a symbolic link where"},
		"a file":                           {volume + "token", "%/token", "is a symbolic link that the agent did not make"},
		"a file is another one":            {volume + "token", "..data/ca.crt", "is a symbolic link that the agent did not make"},
		"a directory of files":             {volume + "a", "%", "is a symbolic link that the agent did not make"},
		"the data":                         {volume + "..data", "%", ""},
		"the data, further up":             {volume + "..data", "../../../..", ""},
		"the new data":                     {volume + "..data_tmp", "%", ""},
		"a directory that looks like ours": {volume + "..2026_01_01_00_00_00.1", "%", ""},
		"the data lead to a link":          {volume + "..data", "..2026_01_01_00_00_00.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			root, other := t.TempDir(), outside(t)
			before := tree(t, other)
			link := filepath.Join(root, test.at)
			os.MkdirAll(filepath.Dir(link), 0o755)
			os.MkdirAll(filepath.Join(root, "pods/ns_other/volumes/v"), 0o755)
			os.MkdirAll(filepath.Join(root, "pods/ns_p/volumes/w"), 0o755)
			if strings.HasPrefix(name, "the data lead") {
				os.Symlink(other, filepath.Join(root, volume, "..2026_01_01_00_00_00.1"))
			}
			os.RemoveAll(link)
			if err := os.Symlink(strings.ReplaceAll(test.target, "%", other), link); err != nil {
				t.Fatal(err)
			}
			err := writeVolume(t, root)
			switch {
			case test.want == "" && err != nil:
				t.Error(err)
			case test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), link)):
				t.Errorf("got %v, want an error with %q about %s", err, test.want, link)
			case test.want == "":
				if got := contents(t, filepath.Join(root, volume)); got["token"] != "new" {
					t.Errorf("the volume has %q", got)
				}
			}
			if after := tree(t, other); after != before {
				t.Errorf("what is outside was\n%sand is\n%s", before, after)
			}
			if left := tree(t, filepath.Join(root, "pods")); strings.Contains(left, "ns_other/volumes/v/") || strings.Contains(left, "volumes/w/") {
				t.Errorf("written elsewhere:\n%s", left)
			}
		})
	}
}

func writeVolume(t *testing.T, root string) error {
	t.Helper()
	volume, err := tryVolume(t, root)
	if err != nil {
		return err
	}
	_, err = write(volume, setOf("new", "token", "ca.crt", "a/b"), owners{}, noon)
	return err
}

// TestTaken: what is in the way and not the agent's is neither written to nor removed, and the old files stay.
func TestTaken(t *testing.T) {
	for name, plant := range map[string]func(string) error{
		"a file":      func(volume string) error { return os.WriteFile(volume+"/ca.crt", []byte("theirs"), 0o644) },
		"a directory": func(volume string) error { return os.MkdirAll(volume+"/ca.crt/x", 0o755) },
		"..data": func(volume string) error {
			os.Remove(volume + "/..data")
			return os.MkdirAll(volume+"/..data/x", 0o755)
		},
		"..data, a file": func(volume string) error {
			os.Remove(volume + "/..data")
			return os.WriteFile(volume+"/..data", nil, 0o644)
		},
	} {
		t.Run(name, func(t *testing.T) {
			volume := openVolume(t, t.TempDir())
			mustWrite(t, volume, setOf("old", "token"))
			if err := plant(volume.path); err != nil {
				t.Fatal(err)
			}
			data, _ := current(volume)
			before := tree(t, volume.path)
			_, err := write(volume, setOf("new", "token", "ca.crt"), owners{}, noon)
			if err == nil || !strings.Contains(err.Error(), "that the agent did not make: remove it") {
				t.Errorf("got %v", err)
			}
			if after := tree(t, volume.path); data != "" && after != before {
				t.Errorf("the volume was\n%sand is\n%s", before, after)
			}
		})
	}
}

// TestSwappedDirectories exchanges directories for links, again and again, while volumes are written and removed. The links lead out
// of the root directory, or to another pod in it.
func TestSwappedDirectories(t *testing.T) {
	for _, at := range []string{"pods", "pods/ns_p", "pods/ns_p/volumes", "pods/ns_p/volumes/v"} {
		t.Run(at, func(t *testing.T) {
			other := outside(t)
			writeWhileSwapped(t, inMemory(t), at, other, other)
		})
	}
	t.Run("another pod", func(t *testing.T) {
		root := inMemory(t)
		other := filepath.Join(root, "pods", "ns_other")
		if err := os.MkdirAll(filepath.Join(other, "volumes", "v"), 0o755); err != nil {
			t.Fatal(err)
		}
		writeWhileSwapped(t, root, "pods/ns_p", "ns_other", other)
		openWhileSwapped(t, root, filepath.Join(other, "volumes", "v"))
	})
}

// openWhileSwapped opens a pod's volume while the pod's directory is exchanged for a link to another pod. Never is it the other's.
func openWhileSwapped(t *testing.T, root, others string) {
	t.Helper()
	never, err := os.Stat(others)
	if err != nil {
		t.Fatal(err)
	}
	top, err := os.OpenRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { top.Close() })
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { swapper(filepath.Join(root, "pods", "ns_p"), "ns_other", done) })
	for range 3000 {
		volume, err := (directory{top, root}).openAll("pods", "ns_p", "volumes", "v")
		if err != nil {
			continue
		}
		if opened, err := volume.Stat("."); err != nil || os.SameFile(opened, never) {
			t.Errorf("opened the volume of another pod, %v", err)
		}
		volume.Close()
	}
	close(done)
	work.Wait()
}

// swapper exchanges a directory for a link until it is done.
func swapper(at, target string, done <-chan struct{}) {
	for {
		os.Rename(at, at+".away")
		os.Symlink(target, at)
		os.Remove(at)
		os.Rename(at+".away", at)
		select {
		case <-done:
			return
		default:
		}
	}
}

// writeWhileSwapped writes and removes while the directory is exchanged for a link to a target. Nothing in untouched may change.
func writeWhileSwapped(t *testing.T, root, at, target, untouched string) {
	t.Helper()
	before := tree(t, untouched)
	top, lock, err := openRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { lock.Close(); top.Close() })
	done := make(chan struct{})
	var work sync.WaitGroup
	work.Go(func() { swapper(filepath.Join(root, at), target, done) })
	written := 0
	for n := range 300 {
		volume, err := top.openAll("pods", "ns_p", "volumes", "v")
		if err != nil {
			continue
		}
		if _, err := write(volume, setOf(strings.Repeat("x", n), "token", "a/b"), owners{}, noon); err == nil {
			written++
		}
		volume.Close()
		if pods, err := top.open("pods"); err == nil && n%10 == 0 {
			pods.RemoveAll("ns_p")
			pods.Close()
		}
	}
	close(done)
	work.Wait()
	if after := tree(t, untouched); after != before {
		t.Errorf("what is not the pod's was\n%sand is\n%s", before, after)
	}
	t.Logf("%d of 300 writes succeeded", written)
}

func TestRootDirectory(t *testing.T) {
	root := t.TempDir()
	openVolume(t, root)
	if _, _, err := openRoot(root); err == nil || !strings.Contains(err.Error(), "another process keeps the volumes in "+root) {
		t.Errorf("a second process: %v", err)
	}
	for mode, want := range map[fs.FileMode]bool{0o755: true, 0o700: true, 0o775: true, fs.ModeSticky | 0o777: true, 0o777: false, 0o702: false} {
		root := filepath.Join(t.TempDir(), "root")
		os.Mkdir(root, 0o700)
		os.Chmod(root, mode)
		_, lock, err := openRoot(root)
		if (err == nil) != want || err != nil && !strings.Contains(err.Error(), "everybody can write to "+root) {
			t.Errorf("mode %s: %v", mode, err)
		}
		if lock != nil {
			lock.Close()
		}
	}
	file := filepath.Join(t.TempDir(), "file")
	os.WriteFile(file, nil, 0o644)
	if _, _, err := openRoot(file); err == nil {
		t.Error("a file can be the root directory")
	}
}
