package trustedissuer

import (
	"encoding/base64"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// TestBadKeySets: a key set that is too long, has too many keys or belongs to another issuer is refused in words, and takes nothing
// from the keys that are known.
func TestBadKeySets(t *testing.T) {
	for name, test := range map[string]struct {
		path   string
		answer func(*http.Request) (*http.Response, error)
		want   string
	}{
		"ten thousand keys": {"/keys", func(*http.Request) (*http.Response, error) {
			return textOf(200, `{"keys":[`+strings.TrimSuffix(strings.Repeat(`{"kty":"EC"},`, 10000), ",")+`]}`)
		}, "the key set has 10000 keys, and at most 256 are read"},
		"no keys": {"/keys", func(*http.Request) (*http.Response, error) { return textOf(200, `{"keys":[]}`) }, "the key set has no keys"},
		"a page":  {"/keys", func(*http.Request) (*http.Response, error) { return textOf(200, `<html>`) }, "not a JSON Web Key Set"},
		"symmetric": {"/keys", func(*http.Request) (*http.Response, error) {
			return textOf(200, `{"keys":[{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMko","kid":"first"}]}`)
		}, "symmetric"},
		"another issuer": {wellKnown, func(*http.Request) (*http.Response, error) {
			return documentOf(map[string]any{"issuer": theURL + "/", "jwks_uri": theURL + "/keys"})
		}, "is that of the issuer " + theURL + "/, not of " + theURL},
		"no place":        {wellKnown, func(*http.Request) (*http.Response, error) { return documentOf(map[string]any{"issuer": theURL}) }, "has no jwks_uri"},
		"moved elsewhere": {wellKnown, func(*http.Request) (*http.Response, error) { return textOf(302, "") }, "the server answers 302"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newStranger(t, theURL)
				s.answers[test.path] = test.answer
				w := newWorld(t, Config{}, s)
				w.put("east", s.url, nil)
				if got := w.name(s.token(t, nil)); got != "IssuerUnavailable" {
					t.Error(got)
				}
				if facts, _ := w.Facts("east"); facts.Failure == nil || !strings.Contains(facts.Failure.Error(), test.want) {
					t.Errorf("the status says: %v", facts.Failure)
				}
				s.set(func() { clear(s.answers) })
				time.Sleep(needsEvery)
				if got := w.name(s.token(t, nil)); got != good {
					t.Fatal(got)
				}
				s.set(func() { s.answers[test.path] = test.answer })
				w.known(s.url).keys.due()
				synctest.Wait()
				if got := w.name(s.token(t, map[string]any{"jti": "another"})); got != good {
					t.Errorf("with the keys that were known before: %s", got)
				}
			})
		})
	}
}

// TestPlacesOfKeys: keys come from discovery, from a discoveryURL, from a jwksURI or from the object, and from nowhere else.
func TestPlacesOfKeys(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*v1alpha1.TrustedIssuerSpec, *stranger)
		read   string
	}{
		"discovery":    {func(*v1alpha1.TrustedIssuerSpec, *stranger) {}, wellKnown},
		"discoveryURL": {func(spec *v1alpha1.TrustedIssuerSpec, _ *stranger) { spec.DiscoveryURL = theURL + "/other" }, "/other"},
		"jwksURI":      {func(spec *v1alpha1.TrustedIssuerSpec, _ *stranger) { spec.JWKSURI = theURL + "/elsewhere" }, "/elsewhere"},
		"inline":       {func(spec *v1alpha1.TrustedIssuerSpec, s *stranger) { spec.JWKS = s.jwks(t) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStranger(t, theURL)
			s.answers["/other"] = func(*http.Request) (*http.Response, error) {
				return documentOf(map[string]any{"issuer": s.url, "jwks_uri": s.url + "/keys"})
			}
			s.answers["/elsewhere"] = func(*http.Request) (*http.Response, error) {
				return documentOf(jose.JSONWebKeySet{Keys: s.keys})
			}
			w := newWorld(t, Config{}, s)
			w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { test.change(spec, s) })
			if got := w.name(s.token(t, nil)); got != good {
				t.Error(got)
			}
			for _, path := range []string{wellKnown, "/other", "/elsewhere"} {
				if read := s.reads(path) > 0; read != (path == test.read) {
					t.Errorf("%s was read: %v", path, read)
				}
			}
			if forged := newStranger(t, theURL); w.name(forged.token(t, nil)) != "BadSignature" {
				t.Errorf("a key of the same id: %s", w.name(forged.token(t, nil)))
			}
		})
	}
}

// TestSignatures: only a signature of a published key with an algorithm of the list counts.
func TestSignatures(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("east", s.url, nil)
	token := s.token(t, nil)
	_, rest, _ := strings.Cut(token, ".")
	payload, signature, _ := strings.Cut(rest, ".")
	with := func(header string) string { return encode(header) + "." + payload + "." + signature }
	claims := map[string]any{"iss": theURL, "aud": "vault"}
	for name, test := range map[string]struct{ token, want string }{
		"no algorithm":             {encode(`{"alg":"none"}`) + "." + payload + ".", "AlgorithmNotAllowed"},
		"no algorithm, signed":     {with(`{"alg":"none","kid":"first"}`), "AlgorithmNotAllowed"},
		"no algorithm at all":      {with(`{"kid":"first"}`), "AlgorithmNotAllowed"},
		"a symmetric algorithm":    {with(`{"alg":"HS256","kid":"first"}`), "AlgorithmNotAllowed"},
		"another spelling":         {with(`{"alg":"es256","kid":"first"}`), "AlgorithmNotAllowed"},
		"an algorithm of RSA keys": {with(`{"alg":"RS256","kid":"first"}`), "UnknownKey"},
		"another curve":            {with(`{"alg":"ES384","kid":"first"}`), "UnknownKey"},
		"two algorithms":           {with(`{"alg":"ES256","alg":"ES256","kid":"first"}`), "BadShape"},
		"another key id":           {with(`{"alg":"ES256","kid":"none"}`), "UnknownKey"},
		"a changed header":         {with(`{"alg":"ES256","kid":"first","typ":"at+jwt"}`), "BadSignature"},
		"a header of nothing":      {"." + payload + "." + signature, "BadShape"},
		"an extension":             {s.sign(t, claims, map[jose.HeaderKey]any{"crit": []string{"exp"}, "exp": 1}), "AlgorithmNotAllowed"},
		"an unencoded payload":     {s.sign(t, claims, map[jose.HeaderKey]any{"b64": true}), "AlgorithmNotAllowed"},
		"a line break":             {token + "\n", "UnknownToken"},
		"in JSON":                  {`{"payload":"` + payload + `"}`, "UnknownToken"},
	} {
		if got := w.name(test.token); got != test.want {
			t.Errorf("%s: %s, want %s", name, got, test.want)
		}
	}
	if got := w.name(s.sign(t, map[string]any{"iss": theURL}, nil)); got != "BadClaims" {
		t.Errorf("no claims: %s", got)
	}
	s.set(func() { s.signer.KeyID = "" })
	if got := w.name(s.token(t, nil)); got != good {
		t.Errorf("no key id: %s", got)
	}
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.Algorithms = []string{"RS256"} })
	if got := w.name(token); got != "AlgorithmNotAllowed" {
		t.Errorf("an algorithm that is not listed: %s", got)
	}
}

func encode(text string) string { return base64.RawURLEncoding.EncodeToString([]byte(text)) }
