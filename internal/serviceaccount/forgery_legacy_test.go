package serviceaccount_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/teststore"
)

// legacyClaims are those of the token in the secret ns/s, with some of them changed.
func legacyClaims(changes ...member) string {
	const prefix = "kubernetes.io/serviceaccount/"
	return object(change([]member{
		{"iss", quote(serviceaccount.LegacyIssuer)},
		{prefix + "namespace", `"ns"`},
		{prefix + "secret.name", `"s"`},
		{prefix + "service-account.name", `"app"`},
		{prefix + "service-account.uid", `"u1"`},
		{"sub", quote(username)},
	}, changes)...)
}

// TestLegacyForgery reviews tokens that look like those that live in secrets. All are signed by us, and all but the last
// few are in the secret that they name.
func TestLegacyForgery(t *testing.T) {
	s := newServer(t)
	const prefix = "kubernetes.io/serviceaccount/"
	legacy := func(changes ...member) string { return issued(legacyClaims(changes...)) }
	wrongIssuer := func(got string) string { return refused(fmt.Sprintf("token issuer %q is invalid", got)) }
	for _, r := range []row{
		{name: "good", token: legacy(), want: accepted},
		{name: "sub missing", token: legacy(member{"sub", ""}), want: refused("sub claim is missing")},
		{name: "sub empty", token: legacy(member{"sub", `""`}), want: refused("sub claim is missing")},
		{name: "namespace missing", token: legacy(member{prefix + "namespace", ""}), want: refused("namespace claim is missing")},
		{name: "secret missing", token: legacy(member{prefix + "secret.name", ""}), want: refused("secretName claim is missing")},
		{name: "name missing", token: legacy(member{prefix + "service-account.name", ""}), want: refused("serviceAccountName claim is missing")},
		{name: "uid missing", token: legacy(member{prefix + "service-account.uid", ""}), want: refused("serviceAccountUID claim is missing")},
		{name: "all missing", token: issued(object(member{"iss", quote(serviceaccount.LegacyIssuer)})), want: refused("sub claim is missing")},
		{name: "sub of another account", token: legacy(member{"sub", `"system:serviceaccount:ns:admin"`}), want: refused("sub claim is invalid")},
		{name: "sub of another namespace", token: legacy(member{"sub", `"system:serviceaccount:kube-system:app"`}), want: refused("sub claim is invalid")},
		{name: "sub without prefix", token: legacy(member{"sub", `"ns:app"`}), want: refused("sub claim is invalid")},
		{name: "sub with a colon more", token: legacy(member{"sub", `"system:serviceaccount:ns:app:x"`}), want: refused("sub claim is invalid")},
		{name: "sub in capitals", token: legacy(member{"sub", `"system:serviceaccount:NS:APP"`}), want: refused("sub claim is invalid")},
		{name: "sub a number", token: legacy(member{"sub", `1`}), want: refused("json: cannot unmarshal number into Go value of type string")},
		{name: "namespace a number", token: legacy(member{prefix + "namespace", `1`}), want: refused("json: cannot unmarshal number into Go value of type string")},
		{
			name:  "secret twice",
			token: issued(legacyClaims()[:len(legacyClaims())-1] + `,"` + prefix + `secret.name":"s"}`),
			want:  refused("json: duplicate key '" + prefix + "secret.name' in object"),
		},
		{name: "names in another case", token: legacy(member{prefix + "namespace", ""}, member{prefix + "Namespace", `"ns"`}), want: refused("namespace claim is missing")},
		{name: "issuer in another case", token: legacy(member{"iss", ""}, member{"Iss", quote(serviceaccount.LegacyIssuer)}), want: wrongIssuer("")},
		{name: "issuer of the others, routed here", token: issued(goodClaims(member{"Iss", quote(serviceaccount.LegacyIssuer)})), want: wrongIssuer(issuer)},
		{name: "issuer of these, routed to the others", token: legacy(member{"Iss", quote(issuer)}), want: wrongIssuer(serviceaccount.LegacyIssuer)},
		{name: "for an audience of ours", token: legacy(member{"aud", `"other"`}), want: accepted},
		{name: "for a foreign audience", token: legacy(member{"aud", `["x"]`}), want: refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`)},
		{
			name:  "audience before claims",
			token: legacy(member{"aud", `["x"]`}, member{"sub", ""}),
			want:  refused(`token audiences ["x"] is invalid for the target audiences ["api" "other"]`),
		},
		{name: "audience a number", token: legacy(member{"aud", `1`}), want: badAudience},
		// Of these tokens the times are not looked at, but they must be some.
		{name: "expired", token: legacy(member{"exp", "1"}), want: accepted},
		{name: "not yet", token: legacy(member{"nbf", "9999999999"}, member{"iat", "9999999999"}), want: accepted},
		{name: "exp no number", token: legacy(member{"exp", `"never"`}), want: badDate},
		{name: "exp too far", token: legacy(member{"exp", `1e300`}), want: badDate},
		{name: "bound to a pod that is not there", token: legacy(member{"kubernetes.io", boundTo(member{"pod", `{"name":"p","uid":"x"}`})}), want: accepted},
		{name: "signed by the forger", token: sealed("stranger", goodHeader("P-256"), legacyClaims()), want: badSignature},
		{name: "signed with a key that names itself", token: sealed("stranger", goodHeader("stranger"), legacyClaims()), want: noKey},
		{name: "not signed", token: encode(object(member{"alg", `"none"`})) + "." + encode(legacyClaims()) + ".", want: badSignature},
		{
			name:  "account that is not there",
			token: legacy(member{prefix + "service-account.name", `"gone"`}, member{"sub", `"system:serviceaccount:ns:gone"`}),
			want:  refused(`serviceaccounts "gone" not found`),
		},
		{name: "uid of an earlier account", token: legacy(member{prefix + "service-account.uid", `"u0"`}), want: refused("ServiceAccount UID (u1) does not match claim (u0)")},
		{name: "secret that is not there", token: legacy(member{prefix + "secret.name", `"gone"`}), want: refused("Token has been invalidated")},
		{
			name:  "secret of another namespace",
			token: legacy(member{prefix + "namespace", `"kube-system"`}, member{"sub", `"system:serviceaccount:kube-system:app"`}),
			want:  refused("Token has been invalidated"),
		},
	} {
		t.Run(r.name, func(t *testing.T) {
			s.store.Put(secretOf(r.token))
			s.check(t, r)
		})
	}
	t.Run("another than the secret's", func(t *testing.T) {
		s.store.Put(secretOf(legacy()))
		s.check(t, row{token: legacy(), want: refused("Token does not match server's copy")})
		s.store.Put(secretOf(""))
		s.check(t, row{token: legacy(), want: refused("Token does not match server's copy")})
	})
}

// secretOf is the secret ns/s with a token.
func secretOf(token string) *corev1.Secret {
	secret := &corev1.Secret{Data: map[string][]byte{corev1.ServiceAccountTokenKey: []byte(token)}}
	secret.Namespace, secret.Name, secret.UID = "ns", "s", "u2"
	return secret
}

// TestLegacyLookups changes what a legacy token depends on. Order and capitals of the texts are kube-apiserver's.
func TestLegacyLookups(t *testing.T) {
	s := newServer(t)
	token := issued(legacyClaims())
	good := func() (*corev1.ServiceAccount, *corev1.Secret) {
		return teststore.Account("ns", "app", "u1"), secretOf(token)
	}
	marked := "the token in secret ns/s for service account ns/app has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the 'kubernetes.io/legacy-token-invalid-since' label from the secret to temporarily allow use of this token"
	soon := metav1.NewTime(now.Add(time.Hour))
	for _, test := range []struct {
		name   string
		change func(*corev1.ServiceAccount, *corev1.Secret)
		want   string
	}{
		{"nothing wrong", func(*corev1.ServiceAccount, *corev1.Secret) {}, accepted},
		{"a secret of another type", func(_ *corev1.ServiceAccount, s *corev1.Secret) { s.Type = corev1.SecretTypeOpaque }, accepted},
		{"a secret being deleted", func(_ *corev1.ServiceAccount, s *corev1.Secret) { s.DeletionTimestamp = &soon }, refused("Token has been invalidated")},
		{"an account being deleted", func(a *corev1.ServiceAccount, _ *corev1.Secret) { a.DeletionTimestamp = &soon }, refused("ServiceAccount ns/app has been deleted")},
		{"another account of the name", func(a *corev1.ServiceAccount, _ *corev1.Secret) { a.UID = "u7" }, refused("ServiceAccount UID (u7) does not match claim (u1)")},
		{"the secret before its token", func(_ *corev1.ServiceAccount, s *corev1.Secret) {
			s.DeletionTimestamp, s.Data = &soon, nil
		}, refused("Token has been invalidated")},
		{"the token before the account", func(a *corev1.ServiceAccount, s *corev1.Secret) { a.UID, s.Data = "u7", nil }, refused("Token does not match server's copy")},
		{"deletion before uid", func(a *corev1.ServiceAccount, _ *corev1.Secret) { a.UID, a.DeletionTimestamp = "u7", &soon }, refused("ServiceAccount ns/app has been deleted")},
		{"the account before the mark", func(a *corev1.ServiceAccount, s *corev1.Secret) {
			a.UID = "u7"
			s.Labels = map[string]string{boundobject.InvalidSinceLabel: "2026-01-01"}
		}, refused("ServiceAccount UID (u7) does not match claim (u1)")},
		{"marked invalid", func(_ *corev1.ServiceAccount, s *corev1.Secret) {
			s.Labels = map[string]string{boundobject.InvalidSinceLabel: "2026-01-01"}
		}, refused(marked)},
		{"marked invalid, whatever since", func(_ *corev1.ServiceAccount, s *corev1.Secret) {
			s.Labels = map[string]string{boundobject.InvalidSinceLabel: "x"}
		}, refused(marked)},
		{"a mark without value", func(_ *corev1.ServiceAccount, s *corev1.Secret) {
			s.Labels = map[string]string{boundobject.InvalidSinceLabel: ""}
		}, accepted},
	} {
		t.Run(test.name, func(t *testing.T) {
			account, secret := good()
			test.change(account, secret)
			s.store.Put(account, secret)
			s.check(t, row{token: token, want: test.want})
		})
	}
	t.Run("no lookup", func(t *testing.T) {
		account, secret := good()
		s.store.Put(account, secret)
		s.configure(func(c *serviceaccount.Config) { c.LegacyLookup = false })
		s.store.Delete(account, secret)
		s.check(t, row{token: token, want: accepted})
		s.check(t, row{token: issued(legacyClaims(member{"sub", `"x"`})), want: refused("sub claim is invalid")})
		s.check(t, row{token: issued(goodClaims()), want: refused(`serviceaccounts "app" not found`)})
	})
}

// TestLegacyUseIsMarked writes the day of use on the secret, once a day, whether the token is good or marked invalid.
func TestLegacyUseIsMarked(t *testing.T) {
	token := issued(legacyClaims())
	s := newServer(t)
	mark := []string{"ns s u2 2026-05-04"}
	for _, test := range []struct {
		name   string
		labels map[string]string
		used   []string
	}{
		{"never used", nil, mark},
		{"used yesterday", map[string]string{boundobject.LastUsedLabel: "2026-05-03"}, mark},
		{"used at an unknown time", map[string]string{boundobject.LastUsedLabel: "x"}, mark},
		{"used today", map[string]string{boundobject.LastUsedLabel: "2026-05-04"}, nil},
		{"used tomorrow, by a clock ahead of ours", map[string]string{boundobject.LastUsedLabel: "2026-05-05"}, nil},
		{"marked invalid", map[string]string{boundobject.InvalidSinceLabel: "2026-01-01"}, mark},
	} {
		t.Run(test.name, func(t *testing.T) {
			secret := secretOf(token)
			secret.Labels = test.labels
			s.store.Put(secret)
			s.used = nil
			s.review(token)
			if diff := cmp.Diff(test.used, s.used); diff != "" {
				t.Errorf("what was marked (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("not when it is refused for another reason", func(t *testing.T) {
		secret, gone := secretOf(token), metav1.NewTime(now)
		secret.DeletionTimestamp = &gone
		s.store.Put(secret)
		s.used = nil
		s.review(token)
		if len(s.used) > 0 {
			t.Errorf("marked %q", s.used)
		}
	})
	t.Run("the day is UTC's", func(t *testing.T) {
		s.store.Put(secretOf(token))
		s.used, s.clock = nil, time.Date(2026, 5, 4, 23, 30, 0, 0, time.FixedZone("", -7200))
		s.review(token)
		if want := []string{"ns s u2 2026-05-05"}; !slices.Equal(s.used, want) {
			t.Errorf("marked %q, want %q", s.used, want)
		}
	})
}

// TestLegacyOfAnotherReplica: what another replica wrote a moment ago counts, though memory doesn't know of it.
func TestLegacyOfAnotherReplica(t *testing.T) {
	s := newServer(t)
	other := s.store.Replica()
	first, second := issued(legacyClaims()), issued(legacyClaims(member{"x", "1"}))
	s.store.Put(secretOf(first))
	other.Put(secretOf(second))
	s.check(t, row{token: second, want: accepted})
	other.Put(teststore.Account("ns", "app", "u3"))
	s.check(t, row{token: second, want: accepted}) // until the watch says so
	uid := func(uid string) string {
		return issued(legacyClaims(member{"kubernetes.io/serviceaccount/service-account.uid", quote(uid)}))
	}
	third := uid("u3")
	other.Put(secretOf(third))
	s.check(t, row{token: third, want: accepted})
	s.check(t, row{token: uid("u4"), want: refused("Token does not match server's copy")})
}
