package etcd_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"go.etcd.io/etcd/server/v3/storage/wal"

	"github.com/mintmark/mintmark/internal/etcd"
)

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
			for _, part := range []string{filepath.Join(dir, test.file), latest, "mintmark snapshot restore '" + latest + "' --data-dir " + filepath.Dir(dir) + " --replace", "Nothing was changed."} {
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
			// The length of a record of 1200 bytes, and the first of them. The sectors after it were not written.
			_, err = file.WriteAt([]byte{0xb0, 4, 0, 0, 0, 0, 0, 0x80, 1}, (end+8)&^7)
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
