package apiserver_test

import (
	"net/http"
	"os"
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

// TestMissingSigningKey starts over a store whose tokens were signed with a key that isn't there. With another key all of
// them would be refused, so none is made. The key is taken into the store where the error says that it is looked for, and
// nothing that was issued is refused.
func TestMissingSigningKey(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data dir")
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	const issuer = "--service-account-issuer=https://issuer.example"
	before := testserver.Start(t, "--data-dir="+dir, "--service-account-signing-key-file="+key, issuer)
	token := issue(t, before.Admin(), "default", nil)
	if err := before.Stop(); err != nil {
		t.Fatal(err)
	}
	said := refused(t, dir, issuer)
	former := filepath.Join(dir, "service-account.key")
	for _, part := range []string{former, "put the private key that signed them there", "make a new key: "} {
		if !strings.Contains(said, part) {
			t.Errorf("%s\ndoes not say %s", said, part)
		}
	}
	if err := os.Rename(key, former); err != nil {
		t.Fatal(err)
	}
	after := testserver.Start(t, "--data-dir="+dir, issuer)
	if status := review(t, after.Admin(), token); !status.Authenticated {
		t.Errorf("a token of before is refused: %s", status.Error)
	}
	if _, err := os.Stat(former); err == nil {
		t.Error("the key is in the data directory still")
	}
	if err := after.Stop(); err != nil {
		t.Fatal(err)
	}
	again := testserver.Start(t, "--data-dir="+dir, issuer)
	if status := review(t, again.Admin(), token); !status.Authenticated {
		t.Errorf("a token of before is refused at the second start: %s", status.Error)
	}
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
