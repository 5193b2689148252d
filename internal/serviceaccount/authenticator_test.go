package serviceaccount_test

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/teststore"
)

// TestLeeway holds every time of a token against a clock around it: a minute is forgiven, to the nanosecond.
func TestLeeway(t *testing.T) {
	s := newServer(t)
	at := time.Unix(2_000_000_000, 0)
	claim := func(name string) string {
		return issued(goodClaims(member{"exp", ""}, member{"nbf", ""}, member{"iat", ""}, member{name, fmt.Sprint(at.Unix())}))
	}
	for _, test := range []struct {
		claim string
		off   time.Duration
		want  string
	}{
		{"exp", -time.Hour, accepted},
		{"exp", 0, accepted},
		{"exp", time.Nanosecond, accepted},
		{"exp", time.Minute - time.Nanosecond, accepted},
		{"exp", time.Minute, accepted},
		{"exp", time.Minute + time.Nanosecond, refused("service account token has expired")},
		{"exp", time.Minute + time.Second, refused("service account token has expired")},
		{"nbf", time.Hour, accepted},
		{"nbf", 0, accepted},
		{"nbf", -time.Minute, accepted},
		{"nbf", -time.Minute - time.Nanosecond, refused("service account token is not valid yet")},
		{"nbf", -time.Hour, refused("service account token is not valid yet")},
		{"iat", time.Hour, accepted},
		{"iat", 0, accepted},
		{"iat", -time.Minute, accepted},
		{"iat", -time.Minute - time.Nanosecond, refused("service account token is issued in the future")},
		{"iat", -time.Hour, refused("service account token is issued in the future")},
	} {
		t.Run(fmt.Sprint(test.claim, " and ", test.off), func(t *testing.T) {
			s.clock = at.Add(test.off)
			s.check(t, row{token: claim(test.claim), want: test.want})
		})
	}
}

// TestRememberedTokenEnds: that a signature is remembered keeps no token alive, neither past its end nor past what it is
// bound to.
func TestRememberedTokenEnds(t *testing.T) {
	s := newServer(t)
	token := issued(goodClaims())
	s.check(t, row{token: token, want: accepted})
	s.clock = now.Add(time.Hour)
	s.check(t, row{token: token, want: refused("service account token has expired")})
	s.clock = now
	s.check(t, row{token: token, want: accepted})
	s.store.Delete(teststore.Account("ns", "app", "u1"))
	s.check(t, row{token: token, want: refused(`serviceaccounts "app" not found`)})
	s.store.Put(teststore.Account("ns", "app", "u2"))
	s.check(t, row{token: token, want: refused("service account UID (u2) does not match claim (u1)")})
}

// counting counts the signatures that are checked.
type counting struct {
	serviceaccount.KeySet
	checked int
}

func (c *counting) Verify(algorithm, id, signed, signature string) (serviceaccount.Key, error) {
	c.checked++
	return c.KeySet.Verify(algorithm, id, signed, signature)
}

// TestSignatureIsCheckedOnce: a good signature is remembered, a bad one is not, and none is taken for another.
func TestSignatureIsCheckedOnce(t *testing.T) {
	var keys *counting
	s := newServer(t, func(c *serviceaccount.Config) {
		keys = &counting{KeySet: c.Keys}
		c.Keys = keys
	})
	good, other := issued(goodClaims()), issued(goodClaims(member{"jti", `"9b4b"`}))
	forged := good[:strings.LastIndex(good, ".")+1] + other[strings.LastIndex(other, ".")+1:]
	for _, step := range []struct {
		name, token, want string
		checked           int
	}{
		{name: "at first", token: good, want: accepted, checked: 1},
		{name: "again", token: good, want: accepted, checked: 1},
		{name: "another token", token: other, want: accepted, checked: 2},
		{name: "the first, with the signature of the other", token: forged, want: badSignature, checked: 3},
		{name: "that again", token: forged, want: badSignature, checked: 4},
		{name: "the first again", token: good, want: accepted, checked: 4},
	} {
		if got := s.reviewOnly(step.token); got.Error != step.want {
			t.Errorf("%s: error %q, want %q", step.name, got.Error, step.want)
		}
		if keys.checked != step.checked {
			t.Errorf("%s: %d signatures were checked, want %d", step.name, keys.checked, step.checked)
		}
	}
}

// slow takes a second for a signature.
type slow struct {
	serviceaccount.KeySet
	checked atomic.Int32
}

func (s *slow) Verify(algorithm, id, signed, signature string) (serviceaccount.Key, error) {
	s.checked.Add(1)
	time.Sleep(time.Second)
	return s.KeySet.Verify(algorithm, id, signed, signature)
}

// TestSignatureIsCheckedForAllAtOnce: those who come with the same token while its signature is checked wait for that,
// good or bad.
func TestSignatureIsCheckedForAllAtOnce(t *testing.T) {
	var keys *slow
	s := newServer(t, func(c *serviceaccount.Config) {
		keys = &slow{KeySet: c.Keys}
		c.Keys = keys
	})
	good, other := issued(goodClaims()), issued(goodClaims(member{"jti", `"9b4b"`}))
	forged := good[:strings.LastIndex(good, ".")+1] + other[strings.LastIndex(other, ".")+1:]
	for token, want := range map[string]string{good: accepted, forged: badSignature} {
		keys.checked.Store(0)
		synctest.Test(t, func(t *testing.T) {
			var reviews sync.WaitGroup
			for range 20 {
				reviews.Go(func() {
					if got := s.reviewOnly(token); got.Error != want {
						t.Errorf("error %q, want %q", got.Error, want)
					}
				})
			}
			reviews.Wait()
		})
		if checked := keys.checked.Load(); checked != 1 {
			t.Errorf("the signature was checked %d times", checked)
		}
	}
}

// TestAudiencesOfReview: a review is told those of the audiences it asked for that the token is good for, in the order
// in which it asked.
func TestAudiencesOfReview(t *testing.T) {
	s := newServer(t)
	for _, test := range []struct {
		name        string
		of          string
		asked, want []string
		refused     string
	}{
		{name: "none asked: the server's", of: `["other","api"]`, want: []string{"api", "other"}},
		{name: "none asked, one common", of: `["vault","other"]`, want: []string{"other"}},
		{name: "the order of the asked", of: `["a","b","c"]`, asked: []string{"c", "x", "a"}, want: []string{"c", "a"}},
		{name: "asked twice", of: `["a"]`, asked: []string{"a", "a"}, want: []string{"a", "a"}},
		{name: "a text", of: `"vault"`, asked: []string{"vault"}, want: []string{"vault"}},
		{name: "foreign to the server", of: `["vault"]`, asked: []string{"vault"}, want: []string{"vault"}},
		{
			name:    "of the server, which is not asked",
			of:      `["api"]`,
			asked:   []string{"vault"},
			refused: `token audiences ["api"] is invalid for the target audiences ["vault"]`,
		},
		{name: "none in the token: the server's", asked: []string{"other"}, want: []string{"other"}},
		{
			name:    "none in the token, a foreign one asked",
			asked:   []string{"vault"},
			refused: `token audiences ["api" "other"] is invalid for the target audiences ["vault"]`,
		},
		{name: "an empty one asked", of: `["api"]`, asked: []string{""}, refused: `token audiences ["api"] is invalid for the target audiences [""]`},
		{name: "an empty one in both", of: `["","api"]`, asked: []string{""}, want: []string{""}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := s.review(issued(goodClaims(member{"aud", test.of})), test.asked...)
			if !slices.Equal(got.Audiences, test.want) {
				t.Errorf("audiences %q, want %q", got.Audiences, test.want)
			}
			if want := test.refused; want != "" && got.Error != refused(want) || got.Authenticated != (want == "") {
				t.Errorf("authenticated %t, error %q", got.Authenticated, got.Error)
			}
		})
	}
}

// TestAudiencesOfCaller: whoever calls with a token, and isn't asked for audiences, must be for those of the server.
func TestAudiencesOfCaller(t *testing.T) {
	s := newServer(t)
	response, ok, err := s.reviewer.Authenticator.AuthenticateToken(t.Context(), issued(goodClaims(member{"aud", `["vault","other"]`})))
	if err != nil || !ok {
		t.Fatalf("authenticated %t, error %v", ok, err)
	}
	if diff := cmp.Diff(authenticator.Audiences{"other"}, response.Audiences); diff != "" {
		t.Errorf("audiences (-want +got):\n%s", diff)
	}
	_, ok, err = s.reviewer.Authenticator.AuthenticateToken(t.Context(), issued(goodClaims(member{"aud", `["vault"]`})))
	if want := `token audiences ["vault"] is invalid for the target audiences ["api" "other"]`; ok || err == nil || err.Error() != want {
		t.Errorf("authenticated %t, error %v", ok, err)
	}
}

// TestWithoutAudiences: a server that has no audiences, and is asked for none, looks at none.
func TestWithoutAudiences(t *testing.T) {
	s := newServer(t, func(c *serviceaccount.Config) { c.APIAudiences = nil })
	s.check(t, row{token: issued(goodClaims()), want: accepted})
}

// TestLegacyIssuerAsIssuer: an operator may call the issuer as that of legacy tokens is called. Then both readings of a
// token are tried, and the reasons of both are told.
func TestLegacyIssuerAsIssuer(t *testing.T) {
	s := newServer(t, func(c *serviceaccount.Config) { c.Issuers = []string{serviceaccount.LegacyIssuer} })
	s.check(t, row{token: issued(goodClaims(member{"iss", quote(serviceaccount.LegacyIssuer)})), want: accepted})
	legacy := issued(legacyClaims())
	s.check(t, row{token: legacy, want: refused("Token has been invalidated, resource name may not be empty")})
	s.store.Put(secretOf(legacy))
	s.check(t, row{token: legacy, want: accepted})
	s.check(t, row{token: issued(goodClaims()), want: notOurs})
}

// TestIdentity: who somebody is comes from the claims that Kubernetes adds, and from nothing else.
func TestIdentity(t *testing.T) {
	s := newServer(t)
	pod, node := podOn("node1"), nodeObject("node1")
	s.store.Put(pod, node)
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:ns", "system:authenticated"}
	extra := func(pairs ...string) map[string]authenticationv1.ExtraValue {
		out := map[string]authenticationv1.ExtraValue{}
		for i := 0; i < len(pairs); i += 2 {
			out["authentication.kubernetes.io/"+pairs[i]] = authenticationv1.ExtraValue{pairs[i+1]}
		}
		return out
	}
	bound := func(name, value string, more ...member) string {
		return issued(goodClaims(member{"kubernetes.io", boundTo(append(more, member{name, value})...)}))
	}
	for _, test := range []struct {
		name, token string
		extra       map[string]authenticationv1.ExtraValue
	}{
		{"bound to nothing", issued(goodClaims(member{"sub", `"system:serviceaccount:kube-system:admin"`})), extra("credential-id", "JTI=8a3a")},
		{"without id", issued(goodClaims(member{"jti", ""})), nil},
		{"bound to a pod", bound("pod", `{"name":"p","uid":"u5"}`), extra("credential-id", "JTI=8a3a", "pod-name", "p", "pod-uid", "u5")},
		{
			"bound to a pod on a node", bound("pod", `{"name":"p","uid":"u5"}`, member{"node", `{"name":"node9","uid":"gone"}`}),
			extra("credential-id", "JTI=8a3a", "pod-name", "p", "pod-uid", "u5", "node-name", "node9", "node-uid", "gone"),
		},
		{
			"bound to a pod on a node that is not named", bound("pod", `{"name":"p","uid":"u5"}`, member{"node", `{}`}),
			extra("credential-id", "JTI=8a3a", "pod-name", "p", "pod-uid", "u5"),
		},
		{"bound to a node", bound("node", `{"name":"node1","uid":"u6"}`), extra("credential-id", "JTI=8a3a", "node-name", "node1", "node-uid", "u6")},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := authenticationv1.TokenReviewStatus{
				Authenticated: true,
				User:          authenticationv1.UserInfo{Username: username, UID: "u1", Groups: groups, Extra: test.extra},
				Audiences:     []string{"api"},
			}
			if diff := cmp.Diff(want, s.review(test.token)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
	t.Run("legacy", func(t *testing.T) {
		token := issued(legacyClaims(member{"jti", `"8a3a"`}))
		s.store.Put(secretOf(token))
		want := authenticationv1.TokenReviewStatus{
			Authenticated: true,
			User:          authenticationv1.UserInfo{Username: username, UID: "u1", Groups: groups},
			Audiences:     audiences,
		}
		if diff := cmp.Diff(want, s.review(token)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

// TestNotes: what a token's use leaves in the audit record and in the counters.
func TestNotes(t *testing.T) {
	s := newServer(t)
	warn := func(after int64) string {
		return issued(goodClaims(member{"kubernetes.io", boundTo(member{"warnafter", fmt.Sprint(after)})}))
	}
	const prefix = "authentication.k8s.io/"
	for _, test := range []struct {
		name, token string
		notes       map[string]string
		counted     string
	}{
		{name: "not extended", token: issued(goodClaims())},
		{name: "a time of 0 is none", token: warn(0)},
		{name: "extended and young", token: warn(now.Unix() + 1), counted: "serviceaccount_valid_tokens_total"},
		{
			name:    "extended and old",
			token:   warn(now.Unix() - 90),
			notes:   map[string]string{prefix + "stale-token": "subject: " + username + ", seconds after warning threshold: 90"},
			counted: "serviceaccount_stale_tokens_total",
		},
		{
			name:    "within the second",
			token:   warn(now.Unix()),
			notes:   map[string]string{prefix + "stale-token": "subject: " + username + ", seconds after warning threshold: 0"},
			counted: "serviceaccount_stale_tokens_total",
		},
		{
			name:    "for no audience",
			token:   issued(goodClaims(member{"aud", ""})),
			notes:   map[string]string{prefix + "legacy-token": username},
			counted: "serviceaccount_legacy_tokens_total",
		},
		{
			name:    "for no audience, for long",
			token:   issued(goodClaims(member{"aud", "[]"}, member{"exp", ""})),
			notes:   map[string]string{prefix + "legacy-token": username},
			counted: "serviceaccount_legacy_tokens_total",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := counters(t)
			notes := s.notes(test.token)
			if diff := cmp.Diff(test.notes, notes); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			counted := map[string]float64{}
			for name, value := range counters(t) {
				if value != before[name] {
					counted[name] = value - before[name]
				}
			}
			want := map[string]float64{}
			if test.counted != "" {
				want[test.counted] = 1
			}
			if diff := cmp.Diff(want, counted); diff != "" {
				t.Errorf("counters (-want +got):\n%s", diff)
			}
		})
	}
}

// TestLegacyNotes: the same for tokens that live in secrets.
func TestLegacyNotes(t *testing.T) {
	s := newServer(t)
	token := issued(legacyClaims())
	const prefix = "authentication.k8s.io/"
	for _, test := range []struct {
		name              string
		generated, marked bool
		notes             map[string]string
		counted           []string
	}{
		{name: "made by hand", notes: map[string]string{prefix + "legacy-token-manual-secret": "s"}, counted: []string{"legacy_manual_token_uses_total"}},
		{
			name:      "generated",
			generated: true,
			notes:     map[string]string{prefix + "legacy-token-autogenerated-secret": "s"},
			counted:   []string{"legacy_auto_token_uses_total"},
		},
		{
			name:      "generated and marked invalid",
			generated: true,
			marked:    true,
			notes:     map[string]string{prefix + "legacy-token-invalidated": "s/ns"},
			counted:   []string{"invalid_legacy_auto_token_uses_total"},
		},
		{name: "made by hand and marked invalid", marked: true, notes: map[string]string{prefix + "legacy-token-invalidated": "s/ns"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			account, secret := teststore.Account("ns", "app", "u1"), secretOf(token)
			if test.generated {
				account.Secrets = append(account.Secrets, objectNamed("s"))
			}
			if test.marked {
				secret.Labels = map[string]string{boundobject.InvalidSinceLabel: "2026-01-01"}
			}
			s.store.Put(account, secret)
			before := counters(t)
			notes := s.notes(token)
			test.notes[prefix+"legacy-token"] = username
			if diff := cmp.Diff(test.notes, notes); diff != "" {
				t.Errorf("audit annotations (-want +got):\n%s", diff)
			}
			const advice = "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens."
			if warned := slices.Equal(s.warned, []string{advice}); warned != (test.generated && !test.marked) || !warned && len(s.warned) > 0 {
				t.Errorf("warnings %q", s.warned)
			}
			counted := []string{"serviceaccount_legacy_tokens_total"}
			for _, name := range test.counted {
				counted = append(counted, "serviceaccount_"+name)
			}
			for name, value := range counters(t) {
				if value != before[name] && !slices.Contains(counted, name) {
					t.Errorf("%s was counted up", name)
				}
				if value != before[name]+1 && slices.Contains(counted, name) {
					t.Errorf("%s went from %v to %v", name, before[name], value)
				}
			}
		})
	}
}

// notes returns the audit annotations that a request with the token gets.
func (s *server) notes(token string) map[string]string {
	s.t.Helper()
	ctx := audit.WithAuditContext(authenticator.WithAudiences(context.Background(), audiences))
	event := audit.AuditContextFrom(ctx)
	s.warned = nil
	ctx = warning.WithWarningRecorder(ctx, s)
	if _, _, err := s.reviewer.Authenticator.AuthenticateToken(ctx, token); err != nil && !strings.Contains(err.Error(), "marked invalid") {
		s.t.Fatal(err)
	}
	return event.GetEventAnnotations()
}

// AddWarning takes in a warning for the one who presented a token.
func (s *server) AddWarning(_, text string) { s.warned = append(s.warned, text) }

// counters returns the metrics of service account tokens.
func counters(t *testing.T) map[string]float64 {
	t.Helper()
	families, err := legacyregistry.DefaultGatherer.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, family := range families {
		if name := family.GetName(); strings.HasPrefix(name, "serviceaccount_") {
			values[name] = family.GetMetric()[0].GetCounter().GetValue()
		}
	}
	return values
}

// TestConstantMemory: a text that is no token takes no memory that grows with it, however many dots it has. (CVE-2025-27144
// and its like: a parser that splits at every dot.)
func TestConstantMemory(t *testing.T) {
	a := serviceaccount.New(serviceaccount.Config{Issuers: []string{issuer}, Keys: ring(t), Index: boundobject.NewIndex()})
	good := issued(goodClaims())
	header, _, _ := strings.Cut(good, ".")
	for name, token := range map[string]string{
		"dots":                    strings.Repeat(".", 1<<20),
		"header and dots":         header + strings.Repeat(".", 1<<20),
		"token and dots":          good + strings.Repeat(".", 1<<20),
		"letters":                 strings.Repeat("x", 1<<20),
		"two parts":               strings.Repeat("x", 1<<19) + "." + strings.Repeat("x", 1<<19),
		"five parts":              strings.Repeat(strings.Repeat("x", 1<<18)+".", 4) + "x",
		"three parts, bad base64": strings.Repeat("*", 1<<19) + "." + "*" + strings.Repeat("x", 1<<19) + ".x",
	} {
		t.Run(name, func(t *testing.T) {
			review := func() {
				if _, ok, err := a.AuthenticateToken(context.Background(), token); ok || err != nil {
					t.Fatalf("authenticated %t, error %v", ok, err)
				}
			}
			if strings.Contains(name, "bad base64") {
				// The token is copied once to be hashed, and once more to be decoded.
				if got := bytesFor(review); got > 2*len(token) {
					t.Errorf("%d bytes for a token of %d", got, len(token))
				}
				return
			}
			if n := testing.AllocsPerRun(10, review); n > 2 {
				t.Errorf("%v allocations", n)
			}
			if got := bytesFor(review); got > 1024 {
				t.Errorf("%d bytes for a token of %d", got, len(token))
			}
		})
	}
}

// bytesFor returns how much memory f takes, on average.
func bytesFor(f func()) int {
	const runs = 10
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		f()
	}
	runtime.ReadMemStats(&after)
	return int(after.TotalAlloc-before.TotalAlloc) / runs
}
