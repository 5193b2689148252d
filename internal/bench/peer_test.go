package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"os"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestPeer reaches a server in each of the ways in which flags can describe it, and asks it everything once.
func TestPeer(t *testing.T) {
	signing, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signingKey := writeKey(t, signing)
	server := testserver.Start(t, "--service-account-signing-key-file="+signingKey)
	config := server.AdminConfig()
	ca, certificate, key := writeFile(t, server.RootCAs), writeFile(t, config.CertData), writeFile(t, config.KeyData)
	for name, test := range map[string]struct {
		flags       peerFlags
		certificate bool
	}{
		"a kubeconfig":          {peerFlags{kubeconfig: server.Kubeconfig}, true},
		"a certificate":         {peerFlags{url: server.URL, ca: ca, certificate: certificate, key: key}, true},
		"a token":               {peerFlags{url: server.URL, ca: ca, token: adminToken(t, server)}, false},
		"a token, certificate":  {peerFlags{url: server.URL, ca: ca, token: adminToken(t, server), certificate: certificate, key: key}, true},
		"another administrator": {peerFlags{kubeconfig: server.Kubeconfig, token: adminToken(t, server)}, false},
		"a key":                 {peerFlags{kubeconfig: server.Kubeconfig, signingKey: signingKey}, true},
	} {
		t.Run(name, func(t *testing.T) {
			test.flags.pids = []int{os.Getpid()}
			if err := test.flags.validate(); err != nil {
				t.Fatal(err)
			}
			s, err := test.flags.site()
			if err != nil {
				t.Fatal(err)
			}
			if (s.certificate != nil) != test.certificate {
				t.Errorf("a client certificate: %v, want %v", s.certificate != nil, test.certificate)
			}
			if err := s.open(t.Context()); err != nil {
				t.Fatal(err)
			}
			for _, sc := range scenarios() {
				if sc.impossibleAt(s) == "" {
					askOnce(t, sc, s)
				}
			}
			if err := s.close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func askOnce(t *testing.T, sc scenario, s *site) {
	t.Helper()
	bodies, err := sc.bodies(t.Context(), s, 1)
	if err != nil {
		t.Fatal(err)
	}
	st, err := (&trial{plan: plan{workers: 1}, scenario: sc, protocol: http2}).station(s.name, s.url, s, s.tls)
	if err != nil {
		t.Fatal(err)
	}
	defer st.client.close()
	got, err := st.client.connect(t.Context(), bodies[0])
	if err == nil {
		err = sc.check(s, got.Body)
	}
	if err != nil {
		t.Errorf("%s: %v", sc.id, err)
	}
}

// adminToken returns a file with the token of an account that may do everything.
func adminToken(t *testing.T, server *testserver.Server) string {
	t.Helper()
	s := &site{name: "admin", admin: server.AdminConfig()}
	if err := s.open(t.Context()); err != nil {
		t.Fatal(err)
	}
	binding, err := s.client.RbacV1().ClusterRoleBindings().Get(t.Context(), s.namespace, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	binding.Name, binding.ResourceVersion, binding.UID = s.namespace+"-admin", "", ""
	binding.RoleRef.Name = "cluster-admin"
	if _, err := s.client.RbacV1().ClusterRoleBindings().Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	return writeFile(t, []byte(s.caller))
}

func TestPeerIsWrong(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	p384, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	const url = "https://127.0.0.1:1"
	token := writeFile(t, []byte(secret))
	for name, test := range map[string]struct {
		flags peerFlags
		err   string
	}{
		"no TLS":           {peerFlags{url: "http://127.0.0.1:1", token: token}, "https://"},
		"no such file":     {peerFlags{kubeconfig: "nothing"}, "--peer-kubeconfig"},
		"no certificate":   {peerFlags{url: url, certificate: token, key: token}, "--peer-client-certificate"},
		"an RSA key":       {peerFlags{url: url, token: token, signingKey: writeKey(t, rsaKey)}, "no P-256 key"},
		"another curve":    {peerFlags{url: url, token: token, signingKey: writeKey(t, p384)}, "no P-256 key"},
		"no key in a file": {peerFlags{url: url, token: token, signingKey: token}, "--peer-signing-key-file"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := test.flags.site()
			checkError(t, err, test.err)
		})
	}
}

func writeKey(t *testing.T, key any) string {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
}
