package projectedvolume

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// TestReaders has readers look at a volume all the time while its files are replaced.
func TestReaders(t *testing.T) {
	volume := openVolume(t, inMemory(t))
	paths := []string{"token", "ca.crt", "a/namespace"}
	content := func(n int) string { return strings.Repeat(strconv.Itoa(n)+"\n", 2000) }
	mustWrite(t, volume, setOf(content(0), paths...))
	done := make(chan struct{})
	var readers sync.WaitGroup
	for range 3 {
		readers.Go(func() {
			for last := 0; ; {
				n, err := readWhole(volume.path, paths)
				if err != nil || n < last {
					t.Errorf("after set %d a reader saw set %d: %v", last, n, err)
					return
				}
				last = n
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for n := 1; n <= 2000; n++ {
		mustWrite(t, volume, setOf(content(n), paths...))
	}
	close(done)
	readers.Wait()
}

// readWhole reads all files of a volume, as one that wants a set that belongs together does: it resolves ..data first. It begins
// again when the set is gone already, and returns the number that all files consist of.
func readWhole(volume string, paths []string) (int, error) {
	for {
		data, err := os.Readlink(filepath.Join(volume, "..data"))
		if err != nil {
			return 0, err
		}
		n, err := readSet(filepath.Join(volume, data), paths)
		if !errors.Is(err, fs.ErrNotExist) {
			return n, err
		}
	}
}

func readSet(directory string, paths []string) (int, error) {
	all := -1
	for _, p := range paths {
		content, err := os.ReadFile(filepath.Join(directory, p))
		if err != nil {
			return 0, err
		}
		line, _, _ := strings.Cut(string(content), "\n")
		n, err := strconv.Atoi(line)
		if err != nil || string(content) != strings.Repeat(line+"\n", 2000) {
			return 0, fmt.Errorf("%s has %d bytes that begin with %q", p, len(content), line)
		}
		if all >= 0 && n != all {
			return 0, fmt.Errorf("%s is of set %d, and another file of set %d", p, n, all)
		}
		all = n
	}
	return all, nil
}

// TestFirstSetAppearsAtOnce: a reader that finds one file finds all.
func TestFirstSetAppearsAtOnce(t *testing.T) {
	root := inMemory(t)
	paths := []string{"z", "m", "a"}
	for range 100 {
		volume := openVolume(t, filepath.Join(root, t.Name()))
		done := make(chan error)
		go func() {
			for {
				if _, err := os.Stat(filepath.Join(volume.path, "a")); err == nil {
					break
				}
			}
			_, err := os.Stat(filepath.Join(volume.path, "z"))
			done <- err
		}()
		mustWrite(t, volume, setOf("x", paths...))
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		os.RemoveAll(filepath.Join(root, t.Name()))
	}
}
