package trustedissuer

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// TestObjectsCountAtOnce: a new object, a change and a removal count for the next token, and a change of the rules costs no read of
// keys.
func TestObjectsCountAtOnce(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	token := s.token(t, nil)
	step := func(what, want string) {
		t.Helper()
		for range 2 {
			if got := w.name(token); got != want {
				t.Errorf("%s: %s, want %s", what, got, want)
			}
		}
	}
	step("no object", "UnknownToken")
	object := w.put("east", s.url, nil)
	step("an object", good)
	noted := object.DeepCopy()
	noted.Status.KeyIDs, noted.Labels = []string{"first"}, map[string]string{"a": "b"}
	before := w.known(s.url)
	if w.change(view.Key{Name: "east"}, noted); w.known(s.url) != before {
		t.Error("a new status takes verdicts away")
	}
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.Audiences = []string{"other"} })
	step("another audience", "AudienceMismatch")
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.Kubernetes.Prefix = "west:" })
	step("another prefix", "west:"+account)
	if reads := s.reads("/keys"); reads != 1 {
		t.Errorf("the keys were read %d times", reads)
	}
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.JWKS = newStranger(t, theURL).jwks(t) })
	step("other keys", "BadSignature")
	w.put("east", s.url, nil)
	step("as before", good)
	w.remove("east")
	step("no object any more", "UnknownToken")
	anew := w.put("anew", s.url, nil)
	step("another object", good)
	// A watch that was cut off may tell of a removal and a new object of the name in one.
	again, reads := anew.DeepCopy(), s.reads("/keys")
	again.UID = "again"
	w.change(view.Key{Name: "anew"}, again)
	step("an object of the same name", good)
	if s.reads("/keys") != reads+1 {
		t.Errorf("the keys of a new object were read %d times", s.reads("/keys")-reads)
	}
}

// TestConflicts: of several objects with a url the oldest is used, and the others say so. Own issuers and those of the configuration
// are not the objects'.
func TestConflicts(t *testing.T) {
	s, own := newStranger(t, theURL), newStranger(t, ourOwn)
	w := newWorld(t, Config{}, s, own)
	configured := ""
	w.Configured = func(url string) bool { return url == configured }
	at := func(name, prefix string, second int64) {
		object := w.put(name, s.url, func(spec *v1alpha1.TrustedIssuerSpec) { spec.Kubernetes.Prefix = prefix }).DeepCopy()
		object.CreationTimestamp = metav1.Unix(second, 0)
		w.change(view.Key{Name: name}, object)
	}
	at("b", "b:", 2)
	at("a", "a:", 2)
	at("c", "c:", 1)
	token := s.token(t, nil)
	for _, used := range []string{"c", "a", "b"} {
		if got := w.name(token); got != used+":"+account {
			t.Errorf("%s, want that of %s", got, used)
		}
		for _, name := range []string{"a", "b", "c"} {
			facts, ok := w.Facts(name)
			if conflict := facts.Conflict != ""; ok && conflict != (name != used) {
				t.Errorf("while %s is used, %s says %q", used, name, facts.Conflict)
			}
		}
		w.remove(used)
	}
	w.put("own", own.url, nil)
	if got := w.name(own.token(t, nil)); got != "UnknownToken" {
		t.Errorf("a token of an own issuer: %s", got)
	}
	if facts, _ := w.Facts("own"); !strings.Contains(facts.Conflict, "this server's own tokens") {
		t.Errorf("the status of an own issuer: %q", facts.Conflict)
	}
	at("a", "a:", 1)
	if configured = s.url; true {
		if facts, _ := w.Facts("a"); !strings.Contains(facts.Conflict, "--authentication-config") {
			t.Errorf("the status of an issuer of the configuration: %q", facts.Conflict)
		}
	}
}

// TestNamesakes: a second object whose users may have the names of another's is found by its prefix.
func TestNamesakes(t *testing.T) {
	w := newWorld(t, Config{})
	w.put("east", theURL, nil)
	w.put("oidc", "https://oidc.example", func(spec *v1alpha1.TrustedIssuerSpec) {
		mapped(spec)
		spec.ClaimMappings.Username.Prefix = ptr.To("oidc:")
	})
	for _, test := range []struct{ name, prefix, want string }{
		{"west", "east:", "east"}, {"east", "east:", ""}, {"west", "oidc:", "oidc"}, {"west", "west:", ""}, {"west", "east", ""},
	} {
		if got := w.Namesake(test.name, test.prefix); got != test.want {
			t.Errorf("%s with %q: %q, want %q", test.name, test.prefix, got, test.want)
		}
	}
}

// TestTenants: a question that asks for none of a tenant's audiences gets the answer, and takes the steps, of a token that nobody
// knows.
func TestTenants(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	var renewals atomic.Int32
	w.RenewWith(func(context.Context) error { renewals.Add(1); return nil })
	w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) {
		spec.Audiences = []string{"vault", ourAPI}
		spec.Tenant = &v1alpha1.IssuerTenant{Audiences: []string{"vault", "tenant"}}
	})
	token := s.token(t, map[string]any{"aud": []string{"vault", ourAPI}})
	unknown := newStranger(t, "https://unknown.example").token(t, nil)
	for range 2 { // also when a verdict is remembered
		for _, audiences := range [][]string{nil, {ourAPI}, {"other"}, {"Vault"}} {
			_, hidden := w.ask(token, audiences...)
			before := renewals.Load()
			_, none := w.ask(unknown, audiences...)
			if hidden == nil || hidden.Error() != none.Error() || reason.Of(hidden) != reason.Of(none) || renewals.Load() != before+1 || before == 0 {
				t.Errorf("for %q: %v, but %v for an unknown issuer", audiences, hidden, none)
			}
		}
		for _, audiences := range [][]string{{"vault"}, {ourAPI, "tenant"}} {
			if _, err := w.ask(token, audiences...); err != nil {
				t.Errorf("for %q: %v", audiences, err)
			}
		}
		if _, err := w.ask(token, "tenant"); reason.Of(err) != reason.AudienceMismatch {
			t.Errorf("for the tenant's audience, which the token does not have: %v", err)
		}
	}
}

// TestPlainNamesAreNoCallers: a token whose names look like those of accounts here is good for none of this server's audiences, and
// so for none of its callers. With a prefix it is.
func TestPlainNamesAreNoCallers(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	token := s.token(t, map[string]any{"aud": []string{"vault", ourAPI}})
	for prefix, caller := range map[string]string{"": "AudienceMismatch", "east:": "None"} {
		w.put("east", s.url, func(spec *v1alpha1.TrustedIssuerSpec) {
			spec.Kubernetes.Prefix, spec.Audiences = prefix, []string{"vault", ourAPI}
		})
		for _, audiences := range [][]string{nil, {ourAPI}} {
			if _, err := w.ask(token, audiences...); reason.Of(err).String() != caller && (err != nil || caller != "None") {
				t.Errorf("prefix %q, for %q: %v, want %s", prefix, audiences, err, caller)
			}
		}
		response, err := w.ask(token, ourAPI, "vault")
		if err != nil || response.User.GetName() != prefix+account || len(response.Audiences) != map[string]int{"": 1, "east:": 2}[prefix] {
			t.Errorf("prefix %q: %+v %v", prefix, response, err)
		}
	}
}

// TestUnknownIssuersAreLookedUp: an unknown issuer is refused when the view has everything that was acknowledged. Many such tokens
// cause few lookups, and without an answer of the store there is no verdict.
func TestUnknownIssuersAreLookedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStranger(t, theURL)
		w := newWorld(t, Config{}, s)
		lookups, failure, arrives := 0, error(nil), false
		w.RenewWith(func(context.Context) error {
			lookups++
			time.Sleep(time.Millisecond)
			if arrives {
				w.put("east", s.url, nil)
			}
			return failure
		})
		token := s.token(t, nil)
		begin := time.Now()
		for range 50 {
			if got := w.all(20, token); got["UnknownToken"] != 20 {
				t.Fatal(got)
			}
		}
		if most := 2 + int(time.Since(begin)/renewEvery); lookups > most {
			t.Errorf("%d lookups for 1000 tokens in %s", lookups, time.Since(begin))
		}
		t.Logf("1000 tokens of an unknown issuer, 20 at a time: %d lookups in %s", lookups, time.Since(begin))
		failure = errors.New("no quorum")
		if got := w.name(token); got != "Undecided" {
			t.Errorf("while the store does not answer: %s", got)
		}
		failure, arrives = nil, true
		if got := w.name(token); got != good {
			t.Errorf("written by another replica a moment ago: %s", got)
		}
		time.Sleep(time.Second)
	})
}

// TestRefusalsAreFinal: a token of a known issuer is left to no other authenticator, and one of an unknown issuer is.
func TestRefusalsAreFinal(t *testing.T) {
	s := newStranger(t, theURL)
	w := newWorld(t, Config{}, s)
	w.put("east", s.url, nil)
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"vault"})
	if _, ok, err := w.AuthenticateToken(ctx, newStranger(t, "https://unknown.example").token(t, nil)); ok || err != nil {
		t.Errorf("an unknown issuer: %v %v", ok, err)
	}
	_, _, err := w.AuthenticateToken(ctx, s.token(t, map[string]any{"exp": 1}))
	if final, ok := err.(interface{ Final() error }); !ok || final.Final() == nil {
		t.Errorf("an expired token: %v", err)
	}
	if !w.Knows(ctx, s.token(t, nil)) || w.Knows(ctx, "opaque") {
		t.Error("which tokens are known")
	}
}
