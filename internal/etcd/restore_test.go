package etcd_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/etcd"
)

// TestRestoreThatFails leaves the store's directory as it was, and takes away what a restoration that was killed has left.
func TestRestoreThatFails(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	member := start(t, dir)
	file := filepath.Join(t.TempDir(), "backup.db")
	snapshot, err := os.Create(file)
	must(t, err)
	must(t, errors.Join(etcd.SaveSnapshot(t.Context(), dir, snapshot), snapshot.Close()))
	member.Close()
	before := sums(t, dir)
	must(t, os.MkdirAll(filepath.Join(dir, "restoring", "member", "member", "snap"), 0o700))

	refused := errors.New("refused")
	_, err = etcd.Restore(t.Context(), etcd.RestoreConfig{
		Snapshot: file, Dir: dir, Replace: true, Prepare: func(context.Context, string) error { return refused },
	})
	if !errors.Is(err, refused) {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, sums(t, dir)); diff != "" {
		t.Errorf("the store was changed: %s", diff)
	}
	if _, err := os.Lstat(filepath.Join(dir, "restoring")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("something is left: %v", err)
	}
}

// TestSaveIntoNowhere fails when what takes the snapshot does: a full disk, say.
func TestSaveIntoNowhere(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	t.Cleanup(start(t, dir).Close)
	if served, err := etcd.Served(t.Context(), dir); !served || err != nil {
		t.Errorf("served: %v, %v", served, err)
	}
	if err := etcd.SaveSnapshot(t.Context(), dir, full{}); !errors.Is(err, errFull) {
		t.Errorf("into a full disk: %v", err)
	}
}

var errFull = errors.New("no space left on device")

type full struct{}

func (full) Write([]byte) (int, error) { return 0, errFull }
