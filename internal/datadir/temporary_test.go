package datadir_test

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/datadir"
)

// A temporary directory is removed at the end of its process, or, if that was killed, by the next one.
func TestTemporary(t *testing.T) {
	dir, remove, err := datadir.Temporary()
	if err != nil {
		t.Fatal(err)
	}
	opened, err := datadir.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	long := time.Now().Add(-time.Hour)
	killed := filepath.Join(filepath.Dir(dir), filepath.Base(dir)+"-killed")
	if err := os.MkdirAll(filepath.Join(killed, "etcd"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, old := range []string{dir, killed} {
		if err := os.Chtimes(old, long, long); err != nil {
			t.Fatal(err)
		}
	}
	_, removeOther, err := datadir.Temporary()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(killed); !os.IsNotExist(err) {
		t.Errorf("what a killed process left is still there: %v", err)
	}
	if _, err := os.Stat(dir); err != nil {
		t.Errorf("the directory of a running process is gone: %v", err)
	}
	if err := opened.Close(); err != nil {
		t.Fatal(err)
	}
	for _, remove := range []func() error{remove, removeOther} {
		if err := remove(); err != nil {
			t.Error(err)
		}
	}
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory is still there: %v", err)
	}
}
