package authn

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"
)

// withFile returns issuers as a configuration file describes them, all of them reached.
func withFile(t *testing.T, text string) (*issuers, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "authentication.yaml")
	write(t, file, text)
	known, err := newIssuers(IssuersConfig{File: file, OwnIssuers: []string{"https://own.example"}, ServerID: "server"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(known.Close)
	waitUntil(t, "discovery", func() bool { return known.current.Load().health() == nil })
	return known, file
}

// write replaces a file as an operator's tools do: nobody sees half of it.
func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(file+".new", file); err != nil {
		t.Fatal(err)
	}
}

func name(t *testing.T, known *issuers, token string) string {
	t.Helper()
	response, ok, err := known.AuthenticateToken(t.Context(), token)
	switch {
	case err != nil:
		return "error: " + err.Error()
	case !ok:
		return ""
	}
	return response.User.GetName()
}

func TestExpressions(t *testing.T) {
	p := newProvider(t)
	known, _ := withFile(t, configuration(`  claimValidationRules:
  - {expression: "claims.level >= 2", message: "level 2 or more is needed"}
  claimMappings:
    username: {expression: "claims.sub + '@' + claims.tenant"}
    groups: {expression: "claims.?roles.orValue([])"}
    uid: {expression: "claims.sub + '-uid'"}
    extra:
    - {key: example.com/tenant, valueExpression: "claims.tenant"}
  userValidationRules:
  - {expression: "!user.username.startsWith('system:')", message: "reserved"}
`, p))
	good := map[string]any{"tenant": "t1", "level": 2, "roles": []string{"dev", "ops"}, "jti": "id1"}
	response, ok, err := known.AuthenticateToken(t.Context(), p.token(good))
	if !ok || err != nil {
		t.Fatal(ok, err)
	}
	want := &user.DefaultInfo{
		Name: "ann@t1", UID: "ann-uid", Groups: []string{"dev", "ops"},
		Extra: map[string][]string{"example.com/tenant": {"t1"}, user.CredentialIDKey: {"JTI=id1"}},
	}
	if diff := cmp.Diff(want, response.User); diff != "" {
		t.Error(diff)
	}
	for name, test := range map[string]struct {
		claims map[string]any
		want   string
	}{
		"claim rule": {map[string]any{"level": 1}, "level 2 or more is needed"},
		"user rule":  {map[string]any{"sub": "system:root"}, "reserved"},
		"expired":    {map[string]any{"exp": time.Now().Add(-time.Second).Unix()}, "oidc: verify token: oidc: token is expired"},
		"audience":   {map[string]any{"aud": "other"}, "oidc: verify token: oidc: expected audience"},
	} {
		claims := map[string]any{"tenant": "t1", "level": 2, "roles": []string{"dev"}}
		for key, value := range test.claims {
			claims[key] = value
		}
		if _, ok, err := known.AuthenticateToken(t.Context(), p.token(claims)); ok || err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: %v %v", name, ok, err)
		}
	}
}

// A provider's new key is found when the first token comes that it signed, and the old one is then forgotten.
func TestRotation(t *testing.T) {
	p := newProvider(t)
	known, _ := withFile(t, configuration(bySubject, p))
	old := p.token(map[string]any{"sub": "old"})
	if got := name(t, known, old); got != "p:old" {
		t.Fatal(got)
	}
	p.rotate("second")
	if got := name(t, known, p.token(nil)); got != "p:ann" {
		t.Error(got)
	}
	p.set(func() { p.keys = nil })
	if got := name(t, known, p.token(map[string]any{"sub": "still"})); got != "p:still" {
		t.Errorf("a key in hand needs no provider: %s", got)
	}
}

// While a provider is out of order, tokens of keys in hand are good, and others are refused with a reason; afterwards
// all is as before.
func TestOutage(t *testing.T) {
	p, unreachable := newProvider(t), newProvider(t)
	unreachable.Close()
	known, _ := withFile(t, configuration(bySubject, p))
	if got := name(t, known, p.token(nil)); got != "p:ann" {
		t.Fatal(got)
	}
	p.set(func() { p.down = true })
	if got := name(t, known, p.token(map[string]any{"sub": "bob"})); got != "p:bob" {
		t.Error(got)
	}
	p.rotate("second")
	token := p.token(nil)
	if got := name(t, known, token); !strings.HasPrefix(got, "error: oidc: verify token: failed to verify signature: fetching keys") {
		t.Error(got)
	}
	p.set(func() { p.down = false })
	// The library tells of a read that failed a moment before it forgets it.
	waitUntil(t, "an issuer that is back", func() bool { return name(t, known, token) == "p:ann" })

	first, err := newIssuers(IssuersConfig{Configuration: mustParse(t, configuration(bySubject, unreachable))})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	if got := name(t, first, unreachable.token(nil)); got != "error: oidc: authenticator not initialized" {
		t.Error(got)
	}
}

// Made-up key ids don't have the key set read without end.
func TestUnknownKeysArePaced(t *testing.T) {
	p := newProvider(t)
	known, _ := withFile(t, configuration(bySubject, p))
	if got := name(t, known, p.token(nil)); got != "p:ann" {
		t.Fatal(got)
	}
	published := p.keys
	begin := time.Now()
	for range 100 {
		p.rotate("made-up")
		p.set(func() { p.keys = published })
		if got := name(t, known, p.token(nil)); !strings.HasPrefix(got, "error: oidc: verify token: failed to verify signature") {
			t.Fatal(got)
		}
	}
	if most := fetchBurst + 1 + int(time.Since(begin).Seconds())*fetchesPerSecond; p.requests("/keys") > most+1 {
		t.Errorf("the key set was read %d times, want %d at most", p.requests("/keys"), most)
	}
}

// A changed file is used without a restart; one that can't be used leaves everything as it is.
func TestReload(t *testing.T) {
	a, b := newProvider(t), newProvider(t)
	known, file := withFile(t, configuration(bySubject, a))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { known.Run(ctx); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	ofA, ofB := a.token(nil), b.token(nil)
	if got := name(t, known, ofB); got != "" {
		t.Fatal(got)
	}
	write(t, file, configuration(bySubject, a, b))
	waitUntil(t, "the second issuer", func() bool { return name(t, known, ofB) == "p:ann" })
	if got := name(t, known, ofA); got != "p:ann" {
		t.Error(got)
	}
	write(t, file, configuration(strings.Replace(bySubject, "p:", "q:", 1), a, b))
	waitUntil(t, "another prefix", func() bool { return name(t, known, ofB) == "q:ann" })
	write(t, file, configuration(bySubject, b))
	waitUntil(t, "the first issuer goes", func() bool { return name(t, known, ofA) == "" })
}

func TestReloadRefuses(t *testing.T) {
	p := newProvider(t)
	first := configuration(bySubject, p)
	known, file := withFile(t, first)
	for text, want := range map[string]string{
		"":                                     "empty config data",
		first + "more: fields\n":               `unknown field "more"`,
		first + "anonymous: {enabled: true}\n": "anonymous: Forbidden: changed from initial configuration file",
		strings.Replace(first, p.URL, "https://own.example", 1):                                "URL must not overlap with disallowed issuers",
		strings.Replace(first, "audiences:", "egressSelectorType: cluster\n    audiences:", 1): "there are no egress selectors here",
	} {
		write(t, file, text)
		if changed, err := known.reload(t.Context()); changed || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v %v, want %s", changed, err, want)
		}
		// It is not tried again until somebody changes it.
		if changed, err := known.reload(t.Context()); changed || err != nil {
			t.Errorf("a second time: %v %v", changed, err)
		}
		if got := name(t, known, p.token(nil)); got != "p:ann" {
			t.Error(got)
		}
	}
}

// Redirects of an issuer are not followed, its endless answers not read.
func TestIssuersAreKeptAtALength(t *testing.T) {
	elsewhere := newProvider(t)
	for name, handler := range map[string]http.HandlerFunc{
		"redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL+r.URL.Path, http.StatusFound)
		},
		"endless": func(w http.ResponseWriter, _ *http.Request) {
			for chunk := []byte(strings.Repeat(" ", 64<<10)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProvider(t)
			p.handler = handler
			known, err := newIssuers(IssuersConfig{Configuration: mustParse(t, configuration(bySubject, p))})
			if err != nil {
				t.Fatal(err)
			}
			defer known.Close()
			waitUntil(t, "the first attempt", func() bool {
				err := known.current.Load().health()
				return err != nil && !strings.Contains(err.Error(), "is not initialized")
			})
			if n := elsewhere.requests("/.well-known/openid-configuration"); n != 0 {
				t.Errorf("%d requests elsewhere", n)
			}
		})
	}
}
