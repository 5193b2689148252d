package main

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	"sigs.k8s.io/yaml"
)

// ciIssuer stands in for the OpenID Connect issuer of a CI system: its discovery document and key set, over TLS, and
// tokens with the claims of testdata/ci. It has the issuer's own name; a server finds it by discoveryURL.
type ciIssuer struct {
	*httptest.Server
	t      *testing.T
	name   string // of the system: the first part of the names of its files
	claims map[string]any
	key    jose.JSONWebKey
	// replaced is the server's address in the guide, and the one in the test.
	replaced *strings.Replacer
}

func newCIIssuer(t *testing.T, name, server string) *ciIssuer {
	t.Helper()
	i := &ciIssuer{t: t, name: name, replaced: strings.NewReplacer("https://tokens.example.com:7443", server)}
	if err := json.Unmarshal([]byte(i.file("claims.json")), &i.claims); err != nil {
		t.Fatal(err)
	}
	i.key = newCIKey(t)
	i.Server = httptest.NewTLSServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func newCIKey(t *testing.T) jose.JSONWebKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: "key-1", Algorithm: "RS256", Use: "sig"}
}

// file returns a file of the guide, with the address of the test's server in it.
func (i *ciIssuer) file(name string) string {
	i.t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", "ci", i.name+"-"+name))
	if err != nil {
		i.t.Fatal(err)
	}
	return i.replaced.Replace(string(text))
}

func (i *ciIssuer) serve(w http.ResponseWriter, r *http.Request) {
	var document any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		document = map[string]any{"issuer": i.claims["iss"], "jwks_uri": i.URL + "/keys"}
	case "/keys":
		document = jose.JSONWebKeySet{Keys: []jose.JSONWebKey{i.key.Public()}}
	default:
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(document) // the caller hung up
}

// token signs the claims of the guide, good for five minutes, with changes; a claim that is nil is left out.
func (i *ciIssuer) token(key jose.JSONWebKey, changes map[string]any) string {
	i.t.Helper()
	claims, now := maps.Clone(i.claims), time.Now()
	maps.Copy(claims, map[string]any{"iat": now.Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(5 * time.Minute).Unix()})
	maps.Copy(claims, changes)
	maps.DeleteFunc(claims, func(_ string, value any) bool { return value == nil })
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS256, Key: key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		i.t.Fatal(err)
	}
	token, err := josejwt.Signed(signer).Claims(claims).Serialize()
	if err != nil {
		i.t.Fatal(err)
	}
	return token
}

// configuration is the guide's AuthenticationConfiguration, with the way to the stand-in added.
func (i *ciIssuer) configuration() string {
	i.t.Helper()
	var configuration map[string]any
	if err := yaml.UnmarshalStrict([]byte(i.file("authentication.yaml")), &configuration); err != nil {
		i.t.Fatal(err)
	}
	issuer := configuration["jwt"].([]any)[0].(map[string]any)["issuer"].(map[string]any)
	if issuer["url"] != i.claims["iss"] {
		i.t.Errorf("the configuration is for %v, the claims are of %v", issuer["url"], i.claims["iss"])
	}
	issuer["discoveryURL"] = i.URL + "/.well-known/openid-configuration"
	issuer["certificateAuthority"] = string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: i.Certificate().Raw}))
	text, err := yaml.Marshal(configuration)
	if err != nil {
		i.t.Fatal(err)
	}
	return string(text)
}

// actions is the address at which a job of GitHub Actions gets its token, for the audience that it names.
func (i *ciIssuer) actions(secret string) string {
	i.t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "bearer "+secret {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		_, _ = fmt.Fprintf(w, `{"count":1,"value":%q}`, i.token(i.key, map[string]any{"aud": r.URL.Query().Get("audience")})) // the caller hung up
	}))
	i.t.Cleanup(server.Close)
	return server.URL + "/token?api-version=2.0"
}
