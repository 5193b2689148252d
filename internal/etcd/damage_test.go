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

	"github.com/google/go-cmp/cmp"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/storage/wal"

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
	seed := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same damage every time
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

// TestDamagedStores damages a store and starts it. That is an error that names what is damaged, the latest snapshot and what
// to do, and never a panic; and nothing is changed.
func TestDamagedStores(t *testing.T) {
	whole := used(t)
	truncate := func(name string, size func(int64) int64) error {
		info, err := os.Stat(name)
		if err != nil {
			return err
		}
		return os.Truncate(name, size(info.Size()))
	}
	inDatabase := func(damage func(name string) error) func(string) error {
		return func(dir string) error { return damage(filepath.Join(dir, database)) }
	}
	inLog := func(damage func(name string) error) func(string) error {
		return func(dir string) error { return damage(lastLog(dir)) }
	}
	cases := map[string]struct {
		spoil func(dir string) error
		file  string
	}{
		"database: head":              {inDatabase(func(name string) error { return overwrite(name, head, 8192) }), database},
		"database: all but the head":  {inDatabase(func(name string) error { return overwrite(name, func(int64) int64 { return 8192 }, 500_000) }), database},
		"database: half":              {inDatabase(func(name string) error { return truncate(name, fraction(t, name, 8)) }), database},
		"database: one page":          {inDatabase(func(name string) error { return truncate(name, func(int64) int64 { return 4096 }) }), database},
		"database: two pages":         {inDatabase(func(name string) error { return truncate(name, func(int64) int64 { return 8192 }) }), database},
		"database: empty":             {inDatabase(func(name string) error { return os.Truncate(name, 0) }), database},
		"database: no database":       {inDatabase(func(name string) error { return os.WriteFile(name, []byte("hello"), 0o600) }), database},
		"database: missing":           {inDatabase(os.Remove), database},
		"database: directory":         {inDatabase(replaceByDirectory), database},
		"database: of another":        {func(dir string) error { return other(t, filepath.Join(dir, database)) }, database},
		"log: head":                   {inLog(func(name string) error { return overwrite(name, head, 4096) }), logDir},
		"log: within":                 {inLog(func(name string) error { return overwrite(name, func(int64) int64 { return 100_000 }, 4096) }), logDir},
		"log: some bytes":             {inLog(func(name string) error { return overwrite(name, func(int64) int64 { return 200_000 }, 16) }), logDir},
		"log: truncated":              {inLog(func(name string) error { return truncate(name, func(int64) int64 { return 100_000 }) }), logDir},
		"log: empty":                  {inLog(func(name string) error { return os.Truncate(name, 0) }), logDir},
		"log: zeros":                  {inLog(func(name string) error { return os.WriteFile(name, make([]byte, 1<<20), 0o600) }), logDir},
		"log: missing file":           {inLog(os.Remove), logDir},
		"log: missing":                {func(dir string) error { return os.RemoveAll(filepath.Join(dir, logDir)) }, logDir},
		"log: directory for the file": {inLog(replaceByDirectory), logDir},
		"log: file for the directory": {func(dir string) error {
			name := filepath.Join(dir, logDir)
			return errors.Join(os.RemoveAll(name), os.WriteFile(name, nil, 0o600))
		}, logDir},
	}
	for n := range int64(16) {
		cases[fmt.Sprintf("database: at %d/16", n)] = struct {
			spoil func(dir string) error
			file  string
		}{inDatabase(func(name string) error { return overwrite(name, fraction(t, name, n), 32768) }), database}
	}
	for name, test := range cases {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a store")
			clone(t, dir, whole)
			must(t, test.spoil(dir))
			before := sums(t, dir)
			member, err := etcd.Start(t.Context(), etcd.Config{Dir: dir})
			if err == nil {
				defer member.Close()
				if !strings.HasPrefix(name, "database: at ") {
					t.Fatal("it starts")
				}
				// Only pages that are not in use were hit.
				holdsAll(t, member)
				return
			}
			latest := filepath.Join(dir, "snapshots", "20260103T040405Z.db")
			for _, part := range []string{filepath.Join(dir, test.file), latest, "etcdutl snapshot restore '" + latest + "'", "Nothing was changed."} {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\ndoes not say %s", err, part)
				}
			}
			if diff := cmp.Diff(before, sums(t, dir)); diff != "" {
				t.Errorf("the store was changed: %s", diff)
			}
		})
	}
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

// TestWholeStoresStart makes sure that the check refuses no store that etcd can start with: whole ones, and those of a
// process that was killed.
func TestWholeStoresStart(t *testing.T) {
	whole := used(t)
	for name, spoil := range map[string]func(string) error{
		"closed": func(string) error { return nil },
		// Before its first entry a store has a database and no log.
		"first start that was interrupted": func(dir string) error {
			must(t, os.RemoveAll(dir))
			start(t, dir).Close()
			must(t, os.RemoveAll(filepath.Join(dir, logDir)))
			return etcd.Emptied(filepath.Join(dir, database))
		},
		// The log is there a moment before its first entry is.
		"first start that was interrupted later": func(dir string) error {
			must(t, os.RemoveAll(dir))
			start(t, dir).Close()
			must(t, errors.Join(os.RemoveAll(filepath.Join(dir, logDir)), etcd.Emptied(filepath.Join(dir, database))))
			log, err := wal.Create(nil, filepath.Join(dir, logDir), nil)
			must(t, err)
			return log.Close()
		},
		"log that ends in a torn record": func(dir string) error {
			file, err := os.OpenFile(lastLog(dir), os.O_RDWR, 0)
			must(t, err)
			data, err := os.ReadFile(file.Name())
			must(t, err)
			end := int64(len(bytes.TrimRight(data, "\x00")))
			_, err = file.WriteAt([]byte{200, 1, 0, 0, 0, 0, 0, 0x80, 1}, (end+8)&^7)
			return errors.Join(err, file.Close())
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "a store")
			clone(t, dir, whole)
			must(t, spoil(dir))
			start(t, dir).Close()
		})
	}
}

// TestUnreadableStore: modes don't bind root.
func TestUnreadableStore(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root can read every file: TestUnreadableStore")
	}
	dir := t.TempDir()
	start(t, dir).Close()
	for _, name := range []string{database, logDir} {
		must(t, os.Chmod(filepath.Join(dir, name), 0))
		_, err := etcd.Start(t.Context(), etcd.Config{Dir: dir})
		if err == nil || !strings.Contains(err.Error(), "the store can't be read; give its files to the user that runs this process") || !strings.Contains(err.Error(), name) {
			t.Errorf("error %v", err)
		}
		must(t, os.Chmod(filepath.Join(dir, name), 0o700))
	}
}

// TestDamagedSnapshotsAreNotNamed: the latest good one is.
func TestDamagedSnapshotsAreNotNamed(t *testing.T) {
	dir := used(t)
	must(t, os.Remove(filepath.Join(dir, database)))
	for _, step := range []struct{ damaged, want string }{
		{"20260103T040405Z.db", "The latest good snapshot is " + filepath.Join(dir, "snapshots", "20260102T030405Z.db")},
		{"20260102T030405Z.db", "There is no good snapshot in " + filepath.Join(dir, "snapshots")},
	} {
		must(t, overwrite(filepath.Join(dir, "snapshots", step.damaged), func(size int64) int64 { return size - 600 }, 10))
		if _, err := etcd.Start(t.Context(), etcd.Config{Dir: dir}); err == nil || !strings.Contains(err.Error(), step.want) {
			t.Errorf("error %v; want %q", err, step.want)
		}
	}
}
