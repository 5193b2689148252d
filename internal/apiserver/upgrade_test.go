package apiserver_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/testserver"
)

// formerDirectory is a data directory that a version has left that kept its authority there.
type formerDirectory struct {
	path              string
	authority         authority
	caKey, signingKey []byte
	signing           *ecdsa.PrivateKey
	administrator     tls.Certificate
}

func newFormerDirectory(t *testing.T) formerDirectory {
	t.Helper()
	f := formerDirectory{path: t.TempDir(), authority: newAuthority(t, "mintmark-ca@"+time.Now().Format(time.RFC3339Nano))}
	_, f.signing = f.authority.make(&x509.Certificate{}, nil)
	f.caKey, f.signingKey = ecKey(t, f.authority.key), ecKey(t, f.signing)
	admin, adminKey := f.authority.make(&x509.Certificate{
		Subject: pkix.Name{CommonName: "admin", Organization: []string{"system:masters"}}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}, f.authority.cert)
	f.administrator = tls.Certificate{Certificate: [][]byte{admin.Raw}, PrivateKey: adminKey}
	config := clientcmdapi.NewConfig()
	config.Clusters["mintmark"] = &clientcmdapi.Cluster{Server: "https://127.0.0.1:1", CertificateAuthorityData: f.authority.pem()}
	config.AuthInfos["admin"] = &clientcmdapi.AuthInfo{ClientCertificateData: certificatePEM(admin), ClientKeyData: ecKey(t, adminKey)}
	config.Contexts["mintmark"] = &clientcmdapi.Context{Cluster: "mintmark", AuthInfo: "admin"}
	config.CurrentContext = "mintmark"
	kubeconfig, err := clientcmd.Write(*config)
	if err != nil {
		t.Fatal(err)
	}
	f.authority.serverFiles(f.file("serving.crt"), f.file("serving.key"), "localhost")
	for name, data := range map[string][]byte{
		"ca.crt": f.authority.pem(), "ca.key": f.caKey, "service-account.key": f.signingKey, "admin.kubeconfig": kubeconfig,
	} {
		writeFile(t, f.file(name), data)
	}
	return f
}

func (f formerDirectory) file(name string) string { return filepath.Join(f.path, name) }

// works checks that the administrator of then is one at a server, and knows it by the authority of then.
func (f formerDirectory) works(t *testing.T, s *testserver.Server) {
	t.Helper()
	s.RootCAs = f.authority.pem()
	if got := whoami(t, s, f.administrator, nil); got != "admin" {
		t.Errorf("the administrator of before at %s: %s", s.URL, got)
	}
}

func ecKey(t *testing.T, key any) []byte {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})
}

func certificatePEM(c *x509.Certificate) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
}

// TestUpgradeOfADataDirectory starts with the data directory of a former version, and again after each step at which that start could
// have been interrupted. What was issued before goes on.
func TestUpgradeOfADataDirectory(t *testing.T) {
	t.Parallel()
	f := newFormerDirectory(t)
	upgraded := testserver.Start(t, "--data-dir="+f.path)
	f.works(t, upgraded)
	if !bytes.Equal(readFile(t, f.file("ca.crt")), f.authority.pem()) {
		t.Error("the authority has changed")
	}
	if _, err := os.Stat(f.file("ca.key")); err == nil {
		t.Error("the key of the authority is still in the data directory")
	}
	issuer := upgraded.URL
	stop(t, upgraded)
	for name, interrupt := range map[string]func(){
		"after all was done":                  func() {},
		"before the key was removed":          func() { writeFile(t, f.file("ca.key"), f.caKey) },
		"before the copy was written":         func() { _ = os.Remove(f.file("ca.crt")) },
		"before the certificates were made":   func() { _, _ = os.Remove(f.file("serving.crt")), os.Remove(f.file("admin.kubeconfig")) },
		"with nothing but the key and a copy": func() { writeFile(t, f.file("ca.key"), f.caKey); _ = os.Remove(f.file("serving.crt")) },
	} {
		interrupt()
		s := testserver.Start(t, "--data-dir="+f.path)
		if got := discoveredIssuer(t, s); got != issuer {
			t.Errorf("%s: issuer %s, want %s", name, got, issuer)
		}
		f.works(t, s)
		if _, err := os.Stat(f.file("ca.key")); err == nil {
			t.Errorf("%s: the key is still in the data directory", name)
		}
		stop(t, s)
	}
	// Before the store had it: the key that encrypts was made, and the store was not written.
	early := newFormerDirectory(t)
	writeFile(t, early.file("key-encryption.key"), readFile(t, f.file("key-encryption.key")))
	early.works(t, testserver.Start(t, "--data-dir="+early.path))
}

// TestUpgradeThatCantBe spoils the authority in the data directory of a former version. Nothing is removed or stored.
func TestUpgradeThatCantBe(t *testing.T) {
	t.Parallel()
	other := newFormerDirectory(t)
	for name, test := range map[string]struct {
		spoil func(f formerDirectory)
		want  string
	}{
		"no key":         {func(f formerDirectory) { _ = os.Remove(f.file("ca.key")) }, "ca.crt is useless without its key"},
		"key of another": {func(f formerDirectory) { writeFile(t, f.file("ca.key"), other.caKey) }, "ca.key is not the key of "},
		"empty key":      {func(f formerDirectory) { writeFile(t, f.file("ca.key"), nil) }, "ca.key can't be used: it holds no private key in PEM"},
		"no certificate": {func(f formerDirectory) { writeFile(t, f.file("ca.crt"), []byte("no PEM")) }, "ca.crt holds no certificate; put it back from a backup"},
	} {
		f := newFormerDirectory(t)
		good := f.caKey
		test.spoil(f)
		before, _ := os.ReadFile(f.file("ca.key"))
		for range 2 {
			if said := refused(t, f.path); !strings.Contains(said, test.want) {
				t.Errorf("%s: %s", name, said)
			}
		}
		if after, _ := os.ReadFile(f.file("ca.key")); !bytes.Equal(before, after) {
			t.Errorf("%s: the key in the data directory has changed", name)
		}
		// Put back from a backup.
		writeFile(t, f.file("ca.key"), good)
		writeFile(t, f.file("ca.crt"), f.authority.pem())
		f.works(t, testserver.Start(t, "--data-dir="+f.path))
	}
}

// TestUpgradeOfTwoReplicas starts with two data directories of a former version over one etcd. What each of them had issued is good at
// both.
func TestUpgradeOfTwoReplicas(t *testing.T) {
	t.Parallel()
	endpoint, client := newEtcd(t)
	a, b := newFormerDirectory(t), newFormerDirectory(t)
	shared := filepath.Join(t.TempDir(), "key.pem")
	writeFile(t, shared, a.signingKey)
	var servers []*testserver.Server
	for _, f := range []formerDirectory{a, b} {
		servers = append(servers, testserver.Start(t, "--data-dir="+f.path, "--etcd-servers="+endpoint, "--service-account-signing-key-file="+shared))
	}
	eventually(t, "the first server knows the authority of the second", func() bool {
		return bytes.Contains(readFile(t, a.file("ca.crt")), b.authority.pem())
	})
	for _, s := range servers {
		for _, f := range []formerDirectory{a, b} {
			eventually(t, "an administrator of before is one at "+s.URL, func() bool {
				s.RootCAs = slices.Concat(a.authority.pem(), b.authority.pem())
				return whoami(t, s, f.administrator, nil) == "admin"
			})
			eventually(t, "a client of before knows "+s.URL, func() bool {
				s.RootCAs = f.authority.pem()
				return whoami(t, s, f.administrator, nil) == "admin"
			})
		}
	}
	stored, err := client.Get(t.Context(), "/mintmark/mintmark.io/identity")
	if err != nil || len(stored.Kvs) != 1 {
		t.Fatalf("%d identities, %v", len(stored.Kvs), err)
	}
}
