package apiserver_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/asn1"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// base64Run is text that may be base64, also in URLs.
var base64Run = regexp.MustCompile(`[A-Za-z0-9+/_-]{40,}`)

// privateKeysIn returns in which forms data holds private keys: any in PEM, DER or JWK, and the given ones as bare numbers as well. It
// looks into base64, too.
func privateKeysIn(data []byte, known ...*ecdsa.PrivateKey) []string {
	found := privateKeysInBytes(data, known)
	for _, run := range base64Run.FindAll(data, -1) {
		for shift := range min(4, len(run)) {
			text := bytes.ReplaceAll(bytes.ReplaceAll(run[shift:], []byte("-"), []byte("+")), []byte("_"), []byte("/"))
			decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
			n, _ := base64.RawStdEncoding.Decode(decoded, text) // an error only ends it
			for _, form := range privateKeysInBytes(decoded[:n], known) {
				found = append(found, form+" in base64")
			}
		}
	}
	slices.Sort(found)
	return slices.Compact(found)
}

func privateKeysInBytes(data []byte, known []*ecdsa.PrivateKey) []string {
	var found []string
	if bytes.Contains(data, []byte("PRIVATE KEY-----")) {
		found = append(found, "PEM")
	}
	if regexp.MustCompile(`"d"\s*:\s*"[A-Za-z0-9_-]{40,}"`).Match(data) {
		found = append(found, "JWK")
	}
	for at := 0; ; at++ {
		next := bytes.IndexByte(data[at:], 0x30) // a sequence
		if next < 0 {
			break
		}
		at += next
		if isPrivateKey(data[at:]) {
			found = append(found, "DER")
			break
		}
	}
	for _, key := range known {
		scalar, err := key.Bytes()
		if err != nil {
			panic(err)
		}
		if bytes.Contains(data, scalar) || bytes.Contains(bytes.ToLower(data), []byte(hex.EncodeToString(scalar))) {
			found = append(found, "a bare number")
		}
	}
	return found
}

// isPrivateKey reports whether a private key in DER begins a text.
func isPrivateKey(data []byte) bool {
	if len(data) < 32 || data[1] < 0x40 { // too short for any
		return false
	}
	var whole asn1.RawValue
	if _, err := asn1.Unmarshal(data[:min(len(data), 8<<10)], &whole); err != nil {
		return false
	}
	for _, parse := range []func([]byte) error{
		func(der []byte) error { _, err := x509.ParsePKCS8PrivateKey(der); return err },
		func(der []byte) error { _, err := x509.ParseECPrivateKey(der); return err },
		func(der []byte) error { _, err := x509.ParsePKCS1PrivateKey(der); return err },
	} {
		if parse(whole.FullBytes) == nil {
			return true
		}
	}
	return false
}

// TestPrivateKeysAreFound hides keys in other bytes.
func TestPrivateKeysAreFound(t *testing.T) {
	t.Parallel()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	large, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	scalar, err := key.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	sec1, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	noise := make([]byte, 1000)
	_, _ = rand.Read(noise)
	for name, hidden := range map[string][]byte{
		"PEM": pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: sec1}), "PKCS #8": pkcs8, "SEC 1": sec1, "PKCS #1": x509.MarshalPKCS1PrivateKey(large),
		"number": scalar, "hexadecimal": []byte(hex.EncodeToString(scalar)), "JWK": []byte(`{"kty":"EC","d":"` + base64.RawURLEncoding.EncodeToString(scalar) + `"}`),
	} {
		for form, data := range map[string][]byte{
			name: hidden, name + " in base64": []byte(base64.StdEncoding.EncodeToString(hidden)), name + " in base64 for URLs": []byte(base64.URLEncoding.EncodeToString(hidden)),
		} {
			if found := privateKeysIn(slices.Concat(noise, data, noise), key); len(found) == 0 {
				t.Errorf("%s is not found", form)
			}
		}
	}
	public, err := x509.MarshalPKIXPublicKey(key.Public())
	if err != nil {
		t.Fatal(err)
	}
	if found := privateKeysIn(slices.Concat(noise, public, noise), key); len(found) > 0 {
		t.Errorf("in noise and a public key: %q", found)
	}
}

// TestStoreHoldsNoPrivateKey looks at all that servers store, as it is in a snapshot of the embedded etcd and under the keys of an external
// one: with the data directory of a former version, whose keys are known, and with a new one.
func TestStoreHoldsNoPrivateKey(t *testing.T) {
	t.Parallel()
	former := []formerDirectory{newFormerDirectory(t), newFormerDirectory(t)}
	known := []*ecdsa.PrivateKey{former[0].authority.key, former[1].authority.key, former[0].signing, former[1].signing}
	for name, dir := range map[string]string{"a former version's": former[0].path, "a new one": t.TempDir()} {
		s := testserver.Start(t, "--data-dir="+dir)
		known = append(known, useKeys(t, s))
		client, err := etcd.Connect(storagebackend.TransportConfig{ServerList: []string{"unix://" + filepath.Join(dir, "etcd", "client.sock")}})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = client.Close() }()
		stream, err := client.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		snapshot, err := io.ReadAll(stream)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Contains(snapshot, []byte("/mintmark/mintmark.io/identity")) {
			t.Fatal("the snapshot holds no identity")
		}
		if found := privateKeysIn(snapshot, known...); len(found) > 0 {
			t.Errorf("the snapshot of the embedded etcd of %s holds a private key: %q", name, found)
		}
	}
	endpoint, client := newEtcd(t)
	known = append(known, useKeys(t, testserver.Start(t, "--data-dir="+former[1].path, "--etcd-servers="+endpoint)))
	testserver.Start(t, "--data-dir="+t.TempDir(), "--etcd-servers="+endpoint)
	stored, err := client.Get(t.Context(), "", clientv3.WithPrefix())
	if err != nil {
		t.Fatal(err)
	}
	if len(stored.Kvs) < 5 {
		t.Fatalf("only %d keys are in the store", len(stored.Kvs))
	}
	for _, kv := range stored.Kvs {
		if found := privateKeysIn(kv.Value, known...); len(found) > 0 {
			t.Errorf("%s holds a private key: %q", kv.Key, found)
		}
	}
}

// useKeys has a server sign, and take the key that it returns.
func useKeys(t *testing.T, s *testserver.Server) *ecdsa.PrivateKey {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{GenerateName: "app-"}}
	made, err := s.Admin().CoreV1().ServiceAccounts("default").Create(t.Context(), account, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	issue(t, s.Admin(), made.Name, nil)
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	text, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	body, err := json.Marshal(v1alpha1.SigningKey{Spec: v1alpha1.SigningKeySpec{PrivateKey: string(text)}})
	if err != nil {
		t.Fatal(err)
	}
	s.Caller(s.AdminConfig()).Run(testserver.Step{Request: "POST /apis/mintmark.io/v1alpha1/signingkeys", Body: string(body), Status: http.StatusCreated})
	return key
}
