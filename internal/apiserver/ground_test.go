package apiserver_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/testserver"
)

// refused returns the error with which a server with a data directory does not start.
func refused(t *testing.T, dir string, args ...string) string {
	t.Helper()
	cfg, err := testserver.Config(t, append(args, "--data-dir="+dir)...)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := apiserver.New(t.Context(), cfg); err != nil {
		return err.Error()
	}
	t.Fatal("the server starts")
	return ""
}

// TestMissingSigningKey removes the key under a store. With another key all tokens that are out would be refused, so none is
// made; the commands that the error names help.
func TestMissingSigningKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data dir")
	if err := testserver.Start(t, "--data-dir="+dir).Stop(); err != nil {
		t.Fatal(err)
	}
	key := filepath.Join(dir, "service-account.key")
	if err := os.Rename(key, key+".backup"); err != nil {
		t.Fatal(err)
	}
	said := refused(t, dir)
	for _, part := range []string{key, "put the file back from a backup", "--service-account-signing-key-file"} {
		if !strings.Contains(said, part) {
			t.Errorf("%s\ndoes not say %s", said, part)
		}
	}
	if _, err := os.Stat(key); err == nil {
		t.Error("a key was made")
	}
	if err := testserver.Start(t, "--data-dir="+dir, "--service-account-signing-key-file="+key+".backup").Stop(); err != nil {
		t.Error(err)
	}
	if _, err := exec.LookPath("openssl"); err != nil {
		t.Skip("openssl is not here to make another key")
	}
	_, command, _ := strings.Cut(said, "make a new key: ")
	if output, err := exec.CommandContext(t.Context(), "/bin/sh", "-c", command).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, output)
	}
	testserver.Start(t, "--data-dir="+dir)
}

// TestDamagedStoreStopsTheStart: see the etcd package for the kinds of damage.
func TestDamagedStoreStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := testserver.Start(t, "--data-dir="+dir).Stop(); err != nil {
		t.Fatal(err)
	}
	database := filepath.Join(dir, "etcd", "member", "member", "snap", "db")
	if err := os.Truncate(database, 8192); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, dir); !strings.Contains(said, "the store is damaged: "+database) {
		t.Error(said)
	}
}

// TestUnsafeDataDirectoryStopsTheStart: see the datadir package for what is unsafe.
func TestUnsafeDataDirectoryStopsTheStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "ca.key"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, dir); !strings.Contains(said, "ca.key can be read by others (mode 0644), and it is secret: chmod go= ") {
		t.Error(said)
	}
}

func TestReadyzKnowsWhetherTheStoreHasRoom(t *testing.T) {
	t.Parallel()
	s := testserver.Start(t)
	status := 0
	s.Admin().Discovery().RESTClient().Get().AbsPath("/readyz/embedded-store-has-room").Do(t.Context()).StatusCode(&status)
	if status != http.StatusOK {
		t.Errorf("status %d", status)
	}
}
