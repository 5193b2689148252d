package etcd_test

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mintmark/mintmark/internal/etcd"
)

// used returns the directory of a store that holds some thousand objects, with two snapshots, and was closed.
func used(t *testing.T) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "a store")
	member := start(t, dir)
	fill(t, member, objectCount, objectSize)
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	for _, at := range []time.Time{now, now.Add(25 * time.Hour)} {
		if err := member.Snapshot(at); err != nil {
			t.Fatal(err)
		}
	}
	member.Close()
	return dir
}

// fill writes objects.
func fill(t *testing.T, member *etcd.Member, count, size int) {
	t.Helper()
	c := client(t, member)
	var writers sync.WaitGroup
	for writer := range 10 {
		writers.Go(func() {
			for i := range count / 10 {
				if _, err := c.Put(t.Context(), fmt.Sprintf("/key/%d/%d", writer, i), strings.Repeat("v", size)); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	writers.Wait()
}

const (
	objectCount, objectSize = 2500, 500

	database = "member/member/snap/db"
	logDir   = "member/member/wal"
)

// overwrite puts random bytes into a file.
func overwrite(name string, at func(size int64) int64, length int) error {
	file, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	info, err := file.Stat()
	if err != nil {
		return err
	}
	seed := rand.New(rand.NewPCG(1, 2))
	junk := make([]byte, length)
	for i := range junk {
		junk[i] = byte(seed.Uint32())
	}
	_, err = file.WriteAt(junk, at(info.Size()))
	return errors.Join(err, file.Close())
}

func head(int64) int64 { return 0 }

// fraction is a place in what is used of a database. The rest of the file is kept for later.
func fraction(t *testing.T, name string, n int64) func(int64) int64 {
	t.Helper()
	size, err := etcd.UsedSize(name)
	must(t, err)
	return func(int64) int64 { return size * n / 16 }
}

// clone copies a store without writing the zeros at the ends of its files.
func clone(t *testing.T, to, from string) {
	t.Helper()
	must(t, filepath.WalkDir(from, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(name, from))
		switch {
		case entry.IsDir():
			return os.Mkdir(target, 0o700)
		case !entry.Type().IsRegular(), strings.HasSuffix(name, ".tmp"): // a file of the log that has not begun
			return nil
		}
		data, err := os.ReadFile(name)
		return errors.Join(err, os.WriteFile(target, bytes.TrimRight(data, "\x00"), 0o600), os.Truncate(target, int64(len(data))))
	}))
}

// lastLog is the newest file of the log.
func lastLog(dir string) string {
	names, _ := filepath.Glob(filepath.Join(dir, logDir, "*.wal"))
	return names[len(names)-1]
}

func replaceByDirectory(name string) error {
	return errors.Join(os.Remove(name), os.Mkdir(name, 0o700))
}

// holdsAll checks that all objects of a store are as they were written.
func holdsAll(t *testing.T, member *etcd.Member) {
	t.Helper()
	found, err := client(t, member).Get(t.Context(), "/key/", clientv3.WithPrefix())
	must(t, err)
	if len(found.Kvs) != objectCount {
		t.Errorf("%d objects, want %d", len(found.Kvs), objectCount)
	}
	for _, object := range found.Kvs {
		if string(object.Value) != strings.Repeat("v", objectSize) {
			t.Errorf("%s is another", object.Key)
		}
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// other replaces a database by that of a younger store.
func other(t *testing.T, name string) error {
	dir := t.TempDir()
	start(t, dir).Close()
	data, err := os.ReadFile(filepath.Join(dir, database))
	return errors.Join(err, os.WriteFile(name, data, 0o600))
}

// sums returns the sum of each file of a directory.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	found := map[string]string{}
	must(t, filepath.WalkDir(dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(name)
		found[name] = fmt.Sprintf("%d bytes, %x", len(data), sha256.Sum256(bytes.TrimRight(data, "\x00")))
		return err
	}))
	return found
}
