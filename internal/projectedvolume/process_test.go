//go:build unix

package projectedvolume

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// helper names the environment variable that makes the test binary a process of another kind: one of helpers, with the directory as
// its argument.
const helper = "PROJECTEDVOLUME_TEST_HELPER"

var helpers = map[string]func(root string) error{"sets": writeSets, "limited": writeLimited, "owned": writeOwned}

func TestMain(m *testing.M) {
	if run, ok := helpers[os.Getenv(helper)]; ok {
		if err := run(os.Args[1]); err != nil {
			fmt.Println(err)
			os.Exit(1)
		}
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// process is the test binary as a helper.
func process(t *testing.T, kind, root string) *exec.Cmd {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], root)
	command.Env = append(os.Environ(), helper+"="+kind)
	return command
}

// openForHelper opens the volume without a test.
func openForHelper(root string) (directory, error) {
	top, _, err := openRoot(root)
	if err != nil {
		return directory{}, err
	}
	return top.openAll("pods", "ns_p", "volumes", "v")
}

// writeSets writes one set after the other until it is killed. Odd ones have a file more.
func writeSets(root string) error {
	volume, err := openForHelper(root)
	if err != nil {
		return err
	}
	for n := rand.IntN(1000) * 2; ; n++ {
		if _, err := write(volume, numbered(n), owners{}, time.Now()); err != nil {
			return err
		}
	}
}

func numbered(n int) fileSet {
	paths := []string{"token", "ca.crt", "a/namespace"}
	if n%2 == 1 {
		paths = append(paths, "odd")
	}
	return setOf(strings.Repeat(strconv.Itoa(n)+"\n", 500), paths...)
}

// TestKilled kills a process that writes at random points of its writes. What it leaves is one set, whole.
func TestKilled(t *testing.T) {
	root := inMemory(t)
	volume := filepath.Join(root, "pods", "ns_p", "volumes", "v")
	sets := map[string]bool{}
	for range 25 {
		command := process(t, "sets", root)
		var output bytes.Buffer
		command.Stdout, command.Stderr = &output, &output
		if err := command.Start(); err != nil {
			t.Fatal(err)
		}
		await(t, volume, 2+rand.IntN(20))
		for range rand.IntN(100) {
			os.Stat(volume)
		}
		command.Process.Kill()
		command.Wait()
		if output.Len() > 0 {
			t.Fatal(output.String())
		}
		found := contents(t, volume)
		line, _, _ := strings.Cut(found["token"], "\n")
		n, err := strconv.Atoi(line)
		wanted := numbered(n)
		if err != nil || len(found) != len(wanted) {
			t.Fatalf("set %q has %d files, want %d: %v", line, len(found), len(wanted), err)
		}
		for p, f := range wanted {
			if found[p] != string(f.content) {
				t.Fatalf("%s of set %d has %d bytes", p, n, len(found[p]))
			}
		}
		sets[line] = true
	}
	again := openVolume(t, root)
	mustWrite(t, again, numbered(0))
	if err := sweep(again); err != nil {
		t.Error(err)
	}
	data, _ := current(again)
	if got := names(t, volume); !slices.Equal(got, []string{data, "..data", "a", "ca.crt", "token"}) {
		t.Errorf("the next process leaves %q", got)
	}
	if len(sets) < 5 {
		t.Errorf("the processes were killed after the same sets: %v", sets)
	}
}

// await waits until other processes have replaced the files of a volume so many times.
func await(t *testing.T, volume string, times int) {
	t.Helper()
	last := ""
	for deadline := time.Now().Add(time.Minute); times > 0; {
		data, err := os.Readlink(filepath.Join(volume, "..data"))
		if err == nil && data != last {
			last = data
			times--
		}
		if time.Now().After(deadline) {
			t.Fatal("nothing is written")
		}
	}
}

// writeLimited writes a set that is larger than files of the process may be.
func writeLimited(root string) error {
	volume, err := openForHelper(root)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	if err := unix.Setrlimit(unix.RLIMIT_FSIZE, &unix.Rlimit{Cur: 4096, Max: 4096}); err != nil {
		return err
	}
	_, err = write(volume, setOf(strings.Repeat("x", 4097), "token", "new"), owners{}, time.Now())
	return err
}

// TestWriteFails: the old set stays, whole, and nothing of the new one.
func TestWriteFails(t *testing.T) {
	root := t.TempDir()
	volume := filepath.Join(root, "pods", "ns_p", "volumes", "v")
	seed := process(t, "sets", root)
	seed.Start()
	await(t, volume, 3)
	seed.Process.Kill()
	seed.Wait()
	before := contents(t, volume)
	output, err := process(t, "limited", root).CombinedOutput()
	if err == nil || !strings.Contains(string(output), "no room for new files in "+volume+", and the old ones stay: make room") {
		t.Errorf("%v: %s", err, output)
	}
	checkOld(t, volume, before)
}

// checkOld checks that a volume has its old files, and nothing of a new set.
func checkOld(t *testing.T, volume string, before map[string]string) {
	t.Helper()
	if after := contents(t, volume); len(before) == 0 || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("the volume had %d files and has %d", len(before), len(after))
	}
	if got := names(t, volume); slices.Contains(got, "new") || slices.Contains(got, "..data_tmp") {
		t.Errorf("left over: %q", got)
	}
}

// TestFullDisk fills the file system of a volume.
func TestFullDisk(t *testing.T) {
	root := t.TempDir()
	mountSmall(t, root)
	top, lock, err := openRoot(root)
	if err != nil {
		t.Fatal(err)
	}
	defer lock.Close()
	defer top.Close()
	volume, err := top.openAll("pods", "ns_p", "volumes", "v")
	if err != nil {
		t.Fatal(err)
	}
	defer volume.Close()
	mustWrite(t, volume, setOf("old", "token", "ca.crt"))
	before := contents(t, volume.path)
	large := setOf(strings.Repeat("x", 40<<10), "token", "ca.crt", "new")
	if _, err := write(volume, large, owners{}, noon); !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "make room on that file system") {
		t.Errorf("got %v", err)
	}
	checkOld(t, volume.path, before)
	if _, err := write(volume, setOf("next", "token"), owners{}, noon); err != nil {
		t.Errorf("after the failure: %v", err)
	}
}
