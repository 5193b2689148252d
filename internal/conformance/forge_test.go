package conformance

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
	"github.com/google/go-cmp/cmp"
)

func newKey(t *testing.T, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// writeKey writes NAME.key in PKCS #8, with a note before it.
func writeKey(t *testing.T, folder, name string, key crypto.Signer) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	text := append([]byte("A note.\n\n"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})...)
	if err := os.WriteFile(filepath.Join(folder, name+".key"), text, 0o600); err != nil {
		t.Fatal(err)
	}
}

// verifies asks a library whether a token's signature is one of this algorithm and key.
func verifies(token string, algorithm jose.SignatureAlgorithm, key crypto.PublicKey) bool {
	parsed, err := jose.ParseSigned(token, []jose.SignatureAlgorithm{algorithm})
	if err != nil {
		return false
	}
	_, err = parsed.Verify(key)
	return err == nil
}

func TestForgedTokens(t *testing.T) {
	key := newKey(t, elliptic.P256())
	s := newSession(&Target{SigningKey: key})
	s.vars["ns"] = "x"
	forge := func(f Forge) string {
		t.Helper()
		token, err := s.forge(&f)
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	token := forge(Forge{Sign: signServer, Claims: map[string]any{
		"sub": "{{ns}}:y", "iat": "now", "exp": "now+60", "kubernetes.io": map[string]any{"namespace": "{{ns}}"},
	}})
	if !verifies(token, jose.ES256, key.Public()) {
		t.Error("the signature does not verify")
	}
	shown, _ := s.norm.token(token).(map[string]any)
	want := parseJSON(t, `{"claims":{"sub":"x:y","iat":"<now>","exp":"<iat+60s>","kubernetes.io":{"namespace":"x"}},"header":{"alg":"ES256","kid":"<kid:1>"}}`)
	if diff := cmp.Diff(want, any(shown)); diff != "" {
		t.Error(diff)
	}

	dot := strings.LastIndex(token, ".")
	for way, check := range map[string]func(forged string) bool{
		signOther: func(forged string) bool { return forged[:dot] == token[:dot] && forged[dot:] != token[dot:] },
		signKeep:  func(forged string) bool { return forged == token },
		signFlip: func(forged string) bool {
			return forged[:dot] == token[:dot] && len(forged) == len(token) && forged != token
		},
		signNothing: func(forged string) bool { return forged == token[:dot+1] },
	} {
		forged := forge(Forge{From: token, Sign: way})
		if !check(forged) || (way != signKeep && verifies(forged, jose.ES256, key.Public())) {
			t.Errorf("%s made something else", way)
		}
	}
	weak := forge(Forge{From: token, Header: map[string]any{"alg": "HS256", "kid": nil}, Sign: signHMAC})
	end := strings.LastIndex(weak, ".")
	mac := hmac.New(sha256.New, []byte("secret")) // the library wants a longer one
	mac.Write([]byte(weak[:end]))
	if weak[end+1:] != encode(mac.Sum(nil)) {
		t.Error("hmac does not verify")
	}
	changed := forge(Forge{From: token, Sign: signKeep, Claims: map[string]any{"sub": nil, "kubernetes.io": map[string]any{"pod": "p"}}})
	if _, claims, err := decodeJWT(changed); err != nil || claims["sub"] != nil || len(claims["kubernetes.io"].(map[string]any)) != 2 {
		t.Error("claims are not merged", claims, err)
	}
}

func TestTokensSignedWithNamedKeys(t *testing.T) {
	folder := t.TempDir()
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey := newKey(t, elliptic.P384())
	writeKey(t, folder, "rsa", rsaKey)
	writeKey(t, folder, "ec", ecKey)
	s := newSession(&Target{Files: folder})
	for _, c := range []struct {
		key, algorithm string
		verified       jose.SignatureAlgorithm
		public         crypto.PublicKey
	}{
		{key: "rsa", verified: jose.RS256, public: rsaKey.Public()},
		{key: "rsa", algorithm: "PS512", verified: jose.PS512, public: rsaKey.Public()},
		{key: "ec", verified: jose.ES384, public: ecKey.Public()},
	} {
		f := &Forge{Sign: signKey, Key: c.key, Claims: map[string]any{"sub": "x"}}
		if c.algorithm != "" {
			f.Header = map[string]any{"alg": c.algorithm}
		}
		token, err := s.forge(f)
		if err != nil || !verifies(token, c.verified, c.public) {
			t.Errorf("%s %s: %v", c.key, c.algorithm, err)
		}
	}
	for _, bad := range []Forge{
		{Key: "none"}, {Key: "rsa", Header: map[string]any{"alg": "ES256"}}, {Key: "ec", Header: map[string]any{"alg": "x"}},
	} {
		bad.Sign = signKey
		if _, err := s.forge(&bad); err == nil {
			t.Errorf("%v was signed", bad)
		}
	}
	// The wrong curve can be signed with: a server must refuse the token.
	if token, err := s.forge(&Forge{Sign: signKey, Key: "ec", Header: map[string]any{"alg": "ES256"}}); err != nil || verifies(token, jose.ES256, ecKey.Public()) {
		t.Error(err)
	}
	for _, bad := range []Forge{{Sign: signKey, Key: "rsa"}, {Sign: signServer}, {Sign: "x"}, {Sign: signFlip}, {From: "{{nobody}}"}, {From: "a.b"}} {
		if _, err := newSession(&Target{}).forge(&bad); err == nil {
			t.Errorf("%v was signed", bad)
		}
	}
}
