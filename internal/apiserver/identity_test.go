package apiserver_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// newEtcd starts an etcd that no server has started, and returns its address and a client.
func newEtcd(t *testing.T) (endpoint string, client *clientv3.Client) {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	client, err = etcd.Connect(storagebackend.TransportConfig{ServerList: []string{member.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return member.Endpoint(), client
}

// at is the administrator of a server, with the kubeconfig of another.
func at(t *testing.T, s *testserver.Server, kubeconfig string) kubernetes.Interface {
	t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Host = s.URL
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// discoveredIssuer is the issuer in the discovery document.
func discoveredIssuer(t *testing.T, s *testserver.Server) string {
	t.Helper()
	document, status := s.Caller(s.TokenConfig("")).Do("GET /.well-known/openid-configuration", "")
	if status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	return document.(map[string]any)["issuer"].(string)
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o600); err != nil {
		t.Fatal(err)
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// TestReplicaTakesPartInTheIdentity runs servers with data directories of their own over one etcd. They have the same authority and
// the same issuer, and the administrator of each is that of all.
func TestReplicaTakesPartInTheIdentity(t *testing.T) {
	t.Parallel()
	endpoint, _ := newEtcd(t)
	a := testserver.Start(t, "--etcd-servers="+endpoint)
	b := testserver.Start(t, "--etcd-servers="+endpoint)
	for _, s := range []*testserver.Server{a, b} {
		for _, kubeconfig := range []string{a.Kubeconfig, b.Kubeconfig} {
			if _, err := at(t, s, kubeconfig).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Errorf("the administrator of %s at %s: %v", kubeconfig, s.URL, err)
			}
		}
		if got := discoveredIssuer(t, s); got != a.URL {
			t.Errorf("%s has the issuer %s, want %s", s.URL, got, a.URL)
		}
		if !bytes.Equal(s.RootCAs, a.RootCAs) || !bytes.Equal(readFile(t, filepath.Join(s.DataDir, "ca.crt")), a.RootCAs) {
			t.Error("two servers have two authorities")
		}
	}
	for _, file := range []string{"ca.key", "key-encryption.key"} {
		if _, err := os.Stat(filepath.Join(b.DataDir, file)); err == nil {
			t.Errorf("the data directory holds %s", file)
		}
	}
}

// TestExternalStoreNeedsEncryption refuses an external etcd without anything that encrypts private keys there. The same key-encryption
// key in both data directories will do.
func TestExternalStoreNeedsEncryption(t *testing.T) {
	t.Parallel()
	endpoint, _ := newEtcd(t)
	none := "--encryption-provider-config="
	identityOnly := filepath.Join(t.TempDir(), "encryption.yaml")
	writeFile(t, identityOnly, []byte("apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources: [{resources: [secrets], providers: [{identity: {}}]}]\n"))
	for _, flag := range []string{none, none + identityOnly} {
		dir := t.TempDir()
		said := refused(t, dir, "--etcd-servers="+endpoint, flag)
		for _, part := range []string{"external etcd", "--encryption-provider-config", "head -c 32 /dev/urandom | base64 >" + filepath.Join(dir, "key-encryption.key")} {
			if !strings.Contains(said, part) {
				t.Errorf("%s\ndoes not say %s", said, part)
			}
		}
		if _, err := os.Stat(filepath.Join(dir, "key-encryption.key")); err == nil {
			t.Error("a key was made that no other server has")
		}
	}
	key := []byte(base64.StdEncoding.EncodeToString([]byte("a key of 32 bytes for two of them")[:32]))
	var servers []*testserver.Server
	for range 2 {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "key-encryption.key"), key)
		servers = append(servers, testserver.Start(t, "--etcd-servers="+endpoint, none, "--data-dir="+dir))
	}
	if _, err := at(t, servers[1], servers[0].Kubeconfig).CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err != nil {
		t.Error(err)
	}
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "key-encryption.key"), []byte(base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 32))))
	if said := refused(t, dir, "--etcd-servers="+endpoint, none); !strings.Contains(said, "key-encryption.key holds another one") {
		t.Error(said)
	}
}

// TestKeyEncryptionKeyOfTheDirectory takes the key away from the embedded store, and puts another and a broken one in its place.
func TestKeyEncryptionKeyOfTheDirectory(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := testserver.Start(t, "--data-dir="+dir).Stop(); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "key-encryption.key")
	good, authority := readFile(t, file), readFile(t, filepath.Join(dir, "ca.crt"))
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, dir); !strings.Contains(said, file+" is missing: put the file back from a backup") {
		t.Error(said)
	}
	if _, err := os.Stat(file); err == nil {
		t.Fatal("another key was made")
	}
	for text, want := range map[string]string{
		"":    "does not hold 32 bytes in base64: put it back from a backup",
		"abc": "does not hold 32 bytes in base64: put it back from a backup",
		base64.StdEncoding.EncodeToString(bytes.Repeat([]byte("x"), 32)): "holds another one",
	} {
		writeFile(t, file, []byte(text))
		if said := refused(t, dir); !strings.Contains(said, file+" "+want) {
			t.Errorf("%q: %s", text, said)
		}
	}
	writeFile(t, file, good)
	s := testserver.Start(t, "--data-dir="+dir)
	if !bytes.Equal(readFile(t, filepath.Join(dir, "ca.crt")), authority) {
		t.Error("the authority has changed")
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	// The store is lost.
	if err := os.RemoveAll(filepath.Join(dir, "etcd")); err != nil {
		t.Fatal(err)
	}
	if said := refused(t, dir); !strings.Contains(said, "ca.crt is useless without its key") {
		t.Error(said)
	}
}

// TestIssuerStays starts a server on another port, with other flags. The issuer stays that of the first start.
func TestIssuerStays(t *testing.T) {
	t.Parallel()
	dir := "--data-dir=" + t.TempDir()
	start := func(flags ...string) *testserver.Server {
		return testserver.Start(t, append(flags, dir, "--controllers=")...)
	}
	first := start()
	issuer, token := first.URL, issueToken(t, first)
	stop(t, first)
	again := start("--external-hostname=tokens.example")
	if got := discoveredIssuer(t, again); got != issuer || again.URL == issuer {
		t.Errorf("issuer %s, want %s", got, issuer)
	}
	if !review(t, again.Admin(), token).Authenticated {
		t.Error("a token of the first start is refused")
	}
	stop(t, again)
	said := refused(t, strings.TrimPrefix(dir, "--data-dir="), "--service-account-issuer=https://new.example", "--service-account-issuer="+issuer)
	for _, part := range []string{issuer, "https://new.example", "--change-service-account-issuer"} {
		if !strings.Contains(said, part) {
			t.Errorf("%s\ndoes not say %s", said, part)
		}
	}
	changed := start("--service-account-issuer=https://new.example", "--service-account-issuer="+issuer, "--change-service-account-issuer")
	if got := discoveredIssuer(t, changed); got != "https://new.example" {
		t.Errorf("issuer %s", got)
	}
	if status := review(t, changed.Admin(), token); !status.Authenticated || len(status.Audiences) != 1 || status.Audiences[0] != issuer {
		t.Errorf("a token of the former issuer: %v", status)
	}
	stop(t, changed)
	last := start()
	if got := discoveredIssuer(t, last); got != "https://new.example" {
		t.Errorf("issuer %s", got)
	}
	if review(t, last.Admin(), token).Authenticated {
		t.Error("a token of the former issuer is accepted without a flag that names it")
	}
	if _, err := testserver.Config(t, "--change-service-account-issuer"); err == nil || !strings.Contains(err.Error(), "name the new issuer") {
		t.Error(err)
	}
}

// issueToken returns a token of the account "app", which it makes.
func issueToken(t *testing.T, s *testserver.Server) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}
	if _, err := s.Admin().CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return issue(t, s.Admin(), "app", nil)
}

func stop(t *testing.T, s *testserver.Server) {
	t.Helper()
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
}

// TestTokenSecretsHaveTheSameRoots runs two servers over one etcd, one with a certificate of the operator. The token secrets carry the
// roots of both, and no server keeps writing them.
func TestTokenSecretsHaveTheSameRoots(t *testing.T) {
	t.Parallel()
	endpoint, client := newEtcd(t)
	key := filepath.Join(t.TempDir(), "key.pem")
	writeFile(t, key, newFormerDirectory(t).signingKey)
	operator, dir := newAuthority(t, "operator"), t.TempDir()
	certFile, keyFile := filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	operator.serverFiles(certFile, keyFile, "tokens.example")
	flags := []string{"--etcd-servers=" + endpoint, "--service-account-signing-key-file=" + key, "--controllers=*"}
	own := testserver.Start(t, flags...)
	given := testserver.Start(t, append(flags, "--tls-cert-file="+certFile, "--tls-private-key-file="+keyFile)...)
	for n := range 20 {
		name := fmt.Sprintf("robot-%d", n)
		admin := []kubernetes.Interface{own.Admin(), given.Admin()}[n%2].CoreV1()
		if _, err := admin.ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: name}},
			Type:       corev1.SecretTypeServiceAccountToken,
		}
		if _, err := admin.Secrets("default").Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	want := append(readFile(t, filepath.Join(own.DataDir, "ca.crt")), operator.pem()...)
	eventually(t, "all token secrets carry both roots", func() bool {
		secrets, err := own.Admin().CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
		return err == nil && !slices.ContainsFunc(secrets.Items, func(secret corev1.Secret) bool { return !bytes.Equal(secret.Data["ca.crt"], want) })
	})
	// Any write would be seen by both controllers and be followed by another: none comes while a hundred requests are answered.
	before := secretsRevision(t, client)
	for range 50 {
		for _, s := range []*testserver.Server{own, given} {
			if _, err := s.Admin().CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if after := secretsRevision(t, client); after != before {
		t.Errorf("secrets were written although they are as they should be: revision %d after %d", after, before)
	}
}

// secretsRevision is the revision of the last change of a secret.
func secretsRevision(t *testing.T, client *clientv3.Client) (revision int64) {
	t.Helper()
	found, err := client.Get(t.Context(), "/mintmark/secrets/", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	for _, kv := range found.Kvs {
		revision = max(revision, kv.ModRevision)
	}
	return revision
}
