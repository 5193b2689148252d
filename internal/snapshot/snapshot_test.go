package snapshot_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/snapshot"
	"github.com/mintmark/mintmark/internal/testserver"
)

const prefix = "/mintmark"

// TestRestore goes back to a snapshot in another data directory, as after the loss of a machine. Account, token, key and authority are
// the same ones; what ended since is back, and ends by a revocation that is there before anything is served.
func TestRestore(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	uid, token := account(t, server.Admin(), "app")
	file := save(t, server.DataDir)
	must(t, server.Admin().CoreV1().ServiceAccounts("default").Delete(t.Context(), "app", metav1.DeleteOptions{}))
	if review(t, server.Admin(), token).Authenticated {
		t.Fatal("the token of a deleted account is good")
	}
	must(t, server.Stop())

	for name, before := range map[string]time.Time{"as it was": {}, "all revoked": time.Now()} {
		t.Run(name, func(t *testing.T) {
			dir := dataDir(t, server.DataDir)
			done, err := snapshot.Restore(t.Context(), snapshot.RestoreConfig{File: file, DataDir: dir, Prefix: prefix, RevokeBefore: before})
			must(t, err)
			again := testserver.Start(t, "--data-dir="+dir)
			if !bytes.Equal(again.RootCAs, server.RootCAs) {
				t.Error("it has another authority")
			}
			if got := uidOf(t, again.Admin(), "app"); got != uid {
				t.Errorf("the account has the UID %s, and had %s", got, uid)
			}
			if status := review(t, again.Admin(), token); status.Authenticated != before.IsZero() {
				t.Errorf("a token of before: %+v", status)
			}
			if before.IsZero() {
				return
			}
			// What is issued in the rest of that second is covered, so a client asks again.
			for status := (authenticationv1.TokenReviewStatus{}); !status.Authenticated; {
				if status = review(t, again.Admin(), request(t, again.Admin(), "app")); !status.Authenticated && time.Since(done.RevokedBefore) > 5*time.Second {
					t.Fatalf("a new token: %+v", status)
				}
			}
		})
	}
}

// TestRestoreNeedsTheKey leaves out what has to be kept beside a snapshot: the error says what is missing, and nothing is made.
func TestRestoreNeedsTheKey(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	file := save(t, server.DataDir)
	other := testserver.Start(t)
	empty := t.TempDir()
	for dir, want := range map[string]string{
		empty:                     filepath.Join(empty, datadir.KeyEncryptionKey) + " is missing: put that file, which was kept beside the snapshot, into ",
		dataDir(t, other.DataDir): "holds another one",
		server.DataDir:            "is in use by process",
	} {
		_, err := snapshot.Restore(t.Context(), snapshot.RestoreConfig{File: file, DataDir: dir, Prefix: prefix, Replace: true})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v\ndoes not say %q", err, want)
		}
		if _, err := os.Lstat(filepath.Join(dir, datadir.Store)); dir != server.DataDir && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("a store was made: %v", err)
		}
	}
}

// TestRestoreEncrypted restores the store of a server with an encryption configuration. A revocation is encrypted as others are.
func TestRestoreEncrypted(t *testing.T) {
	t.Parallel()
	configuration := filepath.Join(t.TempDir(), "encryption.yaml")
	must(t, os.WriteFile(configuration, []byte(`apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: ["*.*"]
  providers:
  - aesgcm: {keys: [{name: first, secret: YWxsIHRlc3Qgc2VydmVycyBoYXZlIHRoaXMga2V5ICE=}]}
`), 0o600))
	server := testserver.Start(t, "--encryption-provider-config="+configuration)
	_, token := account(t, server.Admin(), "app")
	file := save(t, server.DataDir)
	must(t, server.Stop())

	cfg := snapshot.RestoreConfig{File: file, DataDir: t.TempDir(), Prefix: prefix, RevokeBefore: time.Now()}
	if _, err := snapshot.Restore(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "--encryption-provider-config") {
		t.Errorf("without the configuration: %v", err)
	}
	cfg.EncryptionConfiguration = configuration
	_, err := snapshot.Restore(t.Context(), cfg)
	must(t, err)
	again := testserver.Start(t, "--data-dir="+cfg.DataDir, "--encryption-provider-config="+configuration)
	if status := review(t, again.Admin(), token); status.Authenticated {
		t.Errorf("a token of before: %+v", status)
	}
}

// TestRestoreInPlace leaves a store alone unless it is told to put a snapshot in its place, and then keeps the store.
func TestRestoreInPlace(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	file := save(t, server.DataDir)
	_, later := account(t, server.Admin(), "later")
	must(t, server.Stop())

	cfg := snapshot.RestoreConfig{File: file, DataDir: server.DataDir, Prefix: prefix}
	if _, err := snapshot.Restore(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "with --replace") {
		t.Fatalf("over a store: %v", err)
	}
	cfg.Replace = true
	done, err := snapshot.Restore(t.Context(), cfg)
	must(t, err)
	if _, err := os.Stat(done.Former); err != nil || done.Former == "" {
		t.Errorf("the store of before is gone: %q, %v", done.Former, err)
	}
	again := testserver.Start(t, "--data-dir="+server.DataDir)
	if status := review(t, again.Admin(), later); status.Authenticated {
		t.Errorf("the token of an account that the snapshot does not have: %+v", status)
	}
}

// TestSaveStopped saves the store of a server that has stopped: its last write is in it.
func TestSaveStopped(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	uid, _ := account(t, server.Admin(), "app")
	must(t, server.Stop())
	file := save(t, server.DataDir)
	dir := dataDir(t, server.DataDir)
	_, err := snapshot.Restore(t.Context(), snapshot.RestoreConfig{File: file, DataDir: dir, Prefix: prefix})
	must(t, err)
	if got := uidOf(t, testserver.Start(t, "--data-dir="+dir).Admin(), "app"); got != uid {
		t.Errorf("the account has the UID %s, and had %s", got, uid)
	}
	if err := snapshot.Save(t.Context(), t.TempDir(), &bytes.Buffer{}); err == nil || !strings.Contains(err.Error(), "there is no embedded store in") {
		t.Errorf("of an empty directory: %v", err)
	}
}

// TestSpoilt refuses a snapshot that was cut or changed, and files that are none.
func TestSpoilt(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	whole, err := os.ReadFile(save(t, server.DataDir))
	must(t, err)
	changed := bytes.Clone(whole)
	changed[len(changed)/2] ^= 1
	for name, data := range map[string][]byte{
		"cut by a byte":    whole[:len(whole)-1],
		"without its sum":  whole[:len(whole)-32],
		"half":             whole[:len(whole)/2],
		"changed":          changed,
		"another sum":      append(bytes.Clone(whole[:len(whole)-1]), whole[len(whole)-1]^1),
		"longer":           append(bytes.Clone(whole), 0),
		"empty":            {},
		"another's format": []byte("hello"),
	} {
		file := filepath.Join(t.TempDir(), "spoilt.db")
		must(t, os.WriteFile(file, data, 0o600))
		dir := dataDir(t, server.DataDir)
		for does, err := range map[string]error{
			"status":  second(snapshot.Read(file, prefix)),
			"restore": second(snapshot.Restore(t.Context(), snapshot.RestoreConfig{File: file, DataDir: dir, Prefix: prefix})),
		} {
			if err == nil || !strings.Contains(err.Error(), "its checksum does not fit") {
				t.Errorf("%s, %s: %v", name, does, err)
			}
		}
		if _, err := os.Lstat(filepath.Join(dir, datadir.Store)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: a store was made: %v", name, err)
		}
	}
}

// TestNewerStore starts a server over a store that a newer version has written, and restores a snapshot of it: both are refused, and
// both say what to do.
func TestNewerStore(t *testing.T) {
	t.Parallel()
	server := testserver.Start(t)
	must(t, server.Stop())
	inStore(t, server.DataDir, func(ctx context.Context, endpoint string) {
		client, err := etcd.Connect(storagebackend.TransportConfig{ServerList: []string{endpoint}})
		must(t, err)
		defer func() { _ = client.Close() }()
		_, err = client.Put(ctx, prefix+"/mintmark.io/identity", `{"version": 2, "issuer": {"of another": "shape"}}`)
		must(t, err)
	})
	const want = "has version 2, and this program knows version 1: run the program that wrote it, or a later one"
	cfg, err := testserver.Config(t, "--data-dir="+server.DataDir)
	must(t, err)
	if _, err := apiserver.New(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("start: %v", err)
	}
	file := save(t, server.DataDir)
	_, err = snapshot.Restore(t.Context(), snapshot.RestoreConfig{File: file, DataDir: dataDir(t, server.DataDir), Prefix: prefix})
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("restore: %v", err)
	}
}

// inStore runs the embedded store of a stopped server.
func inStore(t *testing.T, dir string, do func(ctx context.Context, endpoint string)) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: filepath.Join(dir, datadir.Store)})
	must(t, err)
	defer member.Close()
	do(t.Context(), member.Endpoint())
}

// save saves the store of a data directory into a file.
func save(t *testing.T, dir string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "backup.db")
	file, err := os.Create(name)
	must(t, err)
	must(t, errors.Join(snapshot.Save(t.Context(), dir, file), file.Close()))
	return name
}

// dataDir makes a data directory with nothing in it but the key-encryption key of another one.
func dataDir(t *testing.T, of string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "data")
	key, err := os.ReadFile(filepath.Join(of, datadir.KeyEncryptionKey))
	must(t, err)
	must(t, errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, datadir.KeyEncryptionKey), key, 0o600)))
	return dir
}

// account makes a service account in the namespace default, and a token of it.
func account(t *testing.T, client kubernetes.Interface, name string) (uid, token string) {
	t.Helper()
	made, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	must(t, err)
	return string(made.UID), request(t, client, name)
}

func request(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	made, err := client.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), name, &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	must(t, err)
	return made.Status.Token
}

func uidOf(t *testing.T, client kubernetes.Interface, name string) string {
	t.Helper()
	found, err := client.CoreV1().ServiceAccounts("default").Get(t.Context(), name, metav1.GetOptions{})
	must(t, err)
	return string(found.UID)
}

func review(t *testing.T, client kubernetes.Interface, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	made, err := client.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	must(t, err)
	return made.Status
}

func second[T any](_ T, err error) error { return err }

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
