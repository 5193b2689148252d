package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"math/big"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
)

const claims = `{"aud":["a"],"exp":1767322800,"iss":"https://issuer","jti":"0","kubernetes.io":{"namespace":"n"}}`

// exampleSite is a site of which everything is known, with a token of its own.
func exampleSite(t *testing.T) *site {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	j := &jwt{header: map[string]json.RawMessage{"alg": text(es256), "kid": text("k")}}
	if err := json.Unmarshal([]byte(claims), &j.claims); err != nil {
		t.Fatal(err)
	}
	s := &site{name: "example", namespace: "n", signingKey: key, caller: "caller's"}
	if s.subject, err = j.sign(key); err != nil {
		t.Fatal(err)
	}
	return s
}

// TestBodies has every scenario make requests, and looks at the tokens in them.
func TestBodies(t *testing.T) {
	s := exampleSite(t)
	for id, want := range map[string]struct {
		kid, iss     string
		good, shaped bool
	}{
		"ReviewWarm":              {kid: "k", iss: "https://issuer", good: true, shaped: true},
		"ReviewNew":               {kid: "k", iss: "https://issuer", good: true, shaped: true},
		"ReviewShapeless":         {},
		"ReviewUnknownIssuer":     {kid: "k", iss: "https://issuer.example.com", shaped: true},
		"ReviewUnknownKey":        {kid: "*", iss: "https://issuer", shaped: true},
		"ReviewForged":            {kid: "k", iss: "https://issuer", shaped: true},
		"ReviewWarmByCertificate": {kid: "k", iss: "https://issuer", good: true, shaped: true},
	} {
		t.Run(id, func(t *testing.T) {
			sc := find(t, id)
			bodies, err := sc.bodies(t.Context(), s, 20)
			if err != nil {
				t.Fatal(err)
			}
			if wanted := map[bool]int{true: 20, false: 1}[sc.fresh]; len(bodies) != wanted {
				t.Fatalf("%d bodies, want %d", len(bodies), wanted)
			}
			seen := map[string]bool{}
			for _, body := range bodies {
				var review authenticationv1.TokenReview
				if err := json.Unmarshal(body, &review); err != nil || review.Kind != "TokenReview" || review.APIVersion != "authentication.k8s.io/v1" {
					t.Fatalf("not a TokenReview: %v", err)
				}
				token := review.Spec.Token
				if seen[token] {
					t.Error("a token twice")
				}
				seen[token] = true
				if !want.shaped {
					if len(token) != 48 || strings.Contains(token, ".") {
						t.Error("a token that has the shape of one")
					}
					continue
				}
				j, err := parseJWT(token)
				if err != nil {
					t.Fatal(err)
				}
				if kid := string(j.header["kid"]); (kid == `"k"`) != (want.kid == "k") {
					t.Errorf("kid %s, want %s", kid, want.kid)
				}
				if iss := string(j.claims["iss"]); iss != `"`+want.iss+`"` {
					t.Errorf("iss %s, want %s", iss, want.iss)
				}
				if string(j.claims["exp"]) != "1767322800" || string(j.claims["kubernetes.io"]) != `{"namespace":"n"}` {
					t.Errorf("other claims were changed")
				}
				if good := verifies(&s.signingKey.PublicKey, token); good != want.good {
					t.Errorf("signature good: %v, want %v", good, want.good)
				}
			}
		})
	}
}

func find(t *testing.T, id string) scenario {
	t.Helper()
	for _, sc := range scenarios() {
		if sc.id == id {
			return sc
		}
	}
	t.Fatalf("no scenario %s", id)
	return scenario{}
}

func verifies(key *ecdsa.PublicKey, token string) bool {
	dot := strings.LastIndexByte(token, '.')
	signature, err := base64.RawURLEncoding.DecodeString(token[dot+1:])
	if err != nil || len(signature) != 2*coordinate {
		return false
	}
	digest := sha256.Sum256([]byte(token[:dot]))
	r, s := new(big.Int).SetBytes(signature[:coordinate]), new(big.Int).SetBytes(signature[coordinate:])
	return ecdsa.Verify(key, digest[:], r, s)
}

// TestChecks has answers of all kinds judged by each check.
func TestChecks(t *testing.T) {
	s := exampleSite(t)
	review := func(status string) string { return `{"kind":"TokenReview","status":` + status + `}` }
	for name, test := range map[string]struct {
		body string
		good string // the check that it passes
	}{
		"good":            {body: review(`{"authenticated":true,"user":{"username":"system:serviceaccount:n:subject"}}`), good: "accepted"},
		"another account": {body: review(`{"authenticated":true,"user":{"username":"system:serviceaccount:n:caller"}}`)},
		"refused":         {body: review(`{"error":"invalid bearer token","user":{}}`), good: "refused"},
		"no verdict":      {body: review(`{"user":{}}`)},
		"issued":          {body: `{"kind":"TokenRequest","status":{"token":"` + s.subject + `"}}`, good: "issued"},
		"not issued":      {body: `{"kind":"TokenRequest","status":{"token":"x.y.z"}}`},
		"an error":        {body: `{"kind":"Status","status":"Failure"}`},
		"no JSON":         {body: s.subject},
		"nothing":         {},
	} {
		t.Run(name, func(t *testing.T) {
			for check, function := range map[string]func(*site, []byte) error{"accepted": accepted, "refused": refused, "issued": issued} {
				err := function(s, []byte(test.body))
				if (err == nil) != (check == test.good) {
					t.Errorf("%s: %v", check, err)
				}
				if err != nil && strings.Contains(err.Error(), "eyJ") {
					t.Errorf("%s: the error repeats a token", check)
				}
			}
		})
	}
}

func TestImpossible(t *testing.T) {
	s := exampleSite(t)
	j, err := parseJWT(s.subject)
	if err != nil {
		t.Fatal(err)
	}
	j.header["alg"] = text("RS256")
	j.signatureSize = 256
	if s.subject, err = j.forge(); err != nil {
		t.Fatal(err)
	}
	for id, want := range map[string]string{
		"ReviewWarm":              "",
		"ReviewForged":            "",
		"ReviewNew":               `signs with "RS256"`,
		"TokenRequest":            `signs with "RS256"`,
		"ReviewWarmByCertificate": "no client certificate was given",
	} {
		if got := find(t, id).impossibleAt(s); got != want {
			t.Errorf("%s: %q, want %q", id, got, want)
		}
	}
}

func TestNoJWT(t *testing.T) {
	s := exampleSite(t)
	for _, token := range []string{"", "a", "a.b", "a.b.c", "e30.e30", "e30.W10.", "W10.e30.", s.subject + ".x"} {
		s.subject = token
		if _, err := find(t, "ReviewForged").bodies(context.Background(), s, 1); err == nil {
			t.Errorf("%q was taken apart", token)
		}
	}
}

func TestPrices(t *testing.T) {
	var p prices
	for n := range 2 {
		if err := p.measure(); err != nil {
			t.Fatal(err)
		}
		if len(p.signatures) != n+1 || len(p.verifications) != n+1 || p.signatures[n] <= 0 || p.verifications[n] <= 0 {
			t.Errorf("%+v", p)
		}
	}
	if _, err := price(func() bool { return false }); err == nil {
		t.Error("what fails has a price")
	}
}
