package authn

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"
)

// strangeKeys are keys that can check no token, and what a set of that key alone is said to hold.
func strangeKeys(t *testing.T) map[string]struct{ key, why string } {
	t.Helper()
	marshal := func(key any) string {
		text, err := json.Marshal(jose.JSONWebKey{Key: key, KeyID: "first"})
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	_, ed, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	good := marshal(ec.Public())
	with := func(member string) string { return strings.TrimSuffix(good, "}") + "," + member + "}" }
	const x = `"x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"`
	return map[string]struct{ key, why string }{
		"secp256k1":              {`{"kty":"EC","crv":"secp256k1",` + x + `}`, `1 not understood (kty "EC", crv "secp256k1")`},
		"P-224":                  {`{"kty":"EC","crv":"P-224",` + x + `}`, `crv "P-224"`},
		"X25519":                 {`{"kty":"OKP","crv":"X25519","x":"hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"}`, `kty "OKP", crv "X25519"`},
		"Ed448":                  {`{"kty":"OKP","crv":"Ed448","x":"AAAA"}`, `crv "Ed448"`},
		"Ed25519":                {marshal(ed.Public()), "of another type"},
		"AKP":                    {`{"kty":"AKP","alg":"ML-DSA-44","pub":"AAAA"}`, `kty "AKP"`},
		"a type of the future":   {`{"kty":"` + strings.Repeat("NEW", 100) + `"}`, `kty "NEWNEWNEWNEWNEWNEWNE"`},
		"no type":                {`{"kid":"first","n":"AQAB"}`, `kty ""`},
		"no curve":               {`{"kty":"EC",` + x + `}`, `kty "EC", crv ""`},
		"no coordinates":         {`{"kty":"EC","crv":"P-256"}`, "not understood"},
		"a point off the curve":  {`{"kty":"EC","crv":"P-256","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA","y":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}`, "not understood"},
		"a short coordinate":     {`{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}`, "not understood"},
		"a very long modulus":    {`{"kty":"RSA","e":"AQAB","n":"` + strings.Repeat("_", 1368) + `"}`, "1 of more than 8192 bits"},
		"no modulus":             {`{"kty":"RSA","e":"AQAB"}`, `kty "RSA"`},
		"not base64url":          {`{"kty":"RSA","e":"AQAB","n":"+++/"}`, "1 "},
		"symmetric":              {`{"kty":"oct","k":"AyM1SysPpbyDfgZld3umj1qzKObwVMko"}`, "symmetric"},
		"private":                {marshal(ec), "1 private"},
		"a bad certificate":      {with(`"x5c":["AAAA"]`), "not understood"},
		"a certificate, not one": {with(`"x5c":"AAAA"`), "1 "},
		"a bad thumbprint":       {with(`"x5t":"AA"`), "not understood"},
		"a key id of a number":   {`{"kty":"EC","crv":"P-256","kid":1,` + x + `}`, "1 "},
		"a number":               {`7`, "1 that can't be read"},
		"nothing":                {`null`, "1 "},
		"a list":                 {`[]`, "1 that can't be read"},
	}
}

// TestStrangeKeysAreIgnored: a key that can check no token takes nothing from the issuer's other keys, wherever it stands.
func TestStrangeKeysAreIgnored(t *testing.T) {
	for what, strange := range strangeKeys(t) {
		t.Run(what, func(t *testing.T) {
			p := newProvider(t)
			good, err := json.Marshal(p.signer.Public())
			if err != nil {
				t.Fatal(err)
			}
			for _, keys := range []string{strange.key + "," + string(good), string(good) + "," + strange.key} {
				known := withKeySet(t, p, `{"keys":[`+keys+`]}`)
				if got := name(t, known, p.token(nil)); got != "p:ann" {
					t.Error(got)
				}
			}
			got := name(t, withKeySet(t, p, `{"keys":[`+strange.key+`]}`), p.token(nil))
			if !strings.Contains(got, "the key set has no usable key") || !strings.Contains(got, strange.why) || len(got) > 1<<10 {
				t.Errorf("alone: %s", got)
			}
		})
	}
}

// withKeySet returns issuers of which one has a key set of that text.
func withKeySet(t *testing.T, p *provider, text string) *issuers {
	t.Helper()
	p.set(func() {
		p.handler = func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			if r.URL.Path == "/keys" {
				_, _ = w.Write([]byte(text)) // the caller hung up
				return
			}
			_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": p.URL + "/keys"}) // the caller hung up
		}
	})
	known, err := newIssuers(IssuersConfig{Configuration: mustParse(t, configuration(bySubject, p))})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(known.Close)
	waitUntil(t, "discovery", func() bool { return known.current.Load().health() == nil })
	return known
}

// TestUsefulKeys: what a key says beside its type, and that two share an id, is no reason to ignore it.
func TestUsefulKeys(t *testing.T) {
	p := newProvider(t)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	otherText, err := json.Marshal(jose.JSONWebKey{Key: other.Public(), KeyID: "first", Algorithm: "RSA-OAEP", Use: "enc"})
	if err != nil {
		t.Fatal(err)
	}
	good, err := json.Marshal(p.signer.Public())
	if err != nil {
		t.Fatal(err)
	}
	with := func(member string) string { return strings.TrimSuffix(string(good), "}") + "," + member + "}" }
	for what, keys := range map[string]string{
		"a key id that two have":  string(otherText) + "," + string(good),
		"twice":                   string(good) + "," + string(good),
		"a place of certificates": with(`"x5u":"https://issuer.example/chain.pem"`),
		"operations":              with(`"key_ops":["verify"],"ext":true,"exp":1`),
		"another algorithm":       strings.Replace(string(good), "ES256", "RS512", 1),
	} {
		t.Run(what, func(t *testing.T) {
			if got := name(t, withKeySet(t, p, `{"keys":[`+keys+`],"more":{}}`), p.token(nil)); got != "p:ann" {
				t.Error(got)
			}
		})
	}
}

// TestBadKeySets: an answer that is no key set is told in a few words, never quoted whole.
func TestBadKeySets(t *testing.T) {
	p := newProvider(t)
	for text, want := range map[string]string{
		`{"keys":[]}`: "the key set has no keys",
		`{}`:          "the key set has no keys",
		`[]`:          "the key set is not a JSON Web Key Set",
		`{"keys":{}}`: "the key set is not a JSON Web Key Set",
		`<html>` + strings.Repeat("sorry ", 10000): "the key set is not a JSON Web Key Set",
		``: "the key set is not a JSON Web Key Set",
		`{"keys":[` + strings.TrimSuffix(strings.Repeat(`{"kty":"new"},`, 10000), ",") + `]}`: `10000 not understood (kty "new", crv "")`,
	} {
		if got := name(t, withKeySet(t, p, text), p.token(nil)); !strings.Contains(got, want) || len(got) > 1<<10 {
			t.Errorf("%.40s: %.200s", text, got)
		}
	}
}

// TestKeysInClear: a key set is not read over plain HTTP, where it may be anybody's.
func TestKeysInClear(t *testing.T) {
	p := newProvider(t)
	p.handler = func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/keys") {
			t.Error("the key set was read")
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"issuer": p.URL, "jwks_uri": "http" + strings.TrimPrefix(p.URL, "https") + "/keys"}) // the caller hung up
	}
	known, _ := withFile(t, configuration(bySubject, p))
	if got := name(t, known, p.token(nil)); !strings.Contains(got, `the URL must be https, not "http"`) {
		t.Error(got)
	}
}
