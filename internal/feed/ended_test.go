package feed

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/view"
)

// told says what events there are, in short.
func told(events []*v1alpha1.TokenReviewEvent) string {
	var texts []string
	for _, e := range events {
		switch {
		case e.Object != nil && e.Object.EndsAt != nil:
			texts = append(texts, "ending "+string(e.Object.UID)+" "+e.Object.EndsAt.UTC().Format(time.TimeOnly))
		case e.Object != nil:
			texts = append(texts, "ended "+string(e.Object.UID))
		case e.Revocation != nil:
			texts = append(texts, "revoked "+e.Revocation.KeyID+e.Revocation.Reason+e.Revocation.Token)
		default:
			texts = append(texts, "issuer "+e.Issuer)
		}
	}
	return strings.Join(texts, ", ")
}

func secret(uid string, change func(*boundobject.Secret)) *boundobject.Secret {
	s := &boundobject.Secret{}
	s.UID = types.UID(uid)
	if change != nil {
		change(s)
	}
	return s
}

// TestObjects tells of ends, of ends to come, and not of changes that end nothing.
func TestObjects(t *testing.T) {
	noon := time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	leaving := func(s *boundobject.Secret) { s.Deletion = noon }
	token := func(text byte) func(*boundobject.Secret) {
		return func(s *boundobject.Secret) { s.Type, s.Token[0] = corev1.SecretTypeServiceAccountToken, text }
	}
	bootstrap := func(s *boundobject.Secret) { s.Type = bootstrapapi.SecretTypeBootstrapToken }
	for name, test := range map[string]struct {
		before, after *boundobject.Secret
		want          string
	}{
		"made":               {nil, secret("a", nil), ""},
		"changed":            {secret("a", nil), secret("a", func(s *boundobject.Secret) { s.Token[0] = 1 }), ""},
		"gone":               {secret("a", nil), nil, "ended a"},
		"made again":         {secret("a", nil), secret("b", nil), "ended a"},
		"leaving":            {secret("a", nil), secret("a", leaving), "ending a 12:01:00"},
		"still leaving":      {secret("a", leaving), secret("a", leaving), ""},
		"left":               {secret("a", leaving), nil, "ended a"},
		"made again, leaves": {secret("a", nil), secret("b", leaving), "ended a, ending b 12:01:00"},
		"found leaving":      {nil, secret("a", leaving), "ending a 12:01:00"},
		"another token":      {secret("a", token(1)), secret("a", token(2)), "ended a"},
		"the same token":     {secret("a", token(1)), secret("a", token(1)), ""},
		"used":               {secret("a", token(1)), secret("a", func(s *boundobject.Secret) { token(1)(s); s.LastUsed = "2026-01-01" }), ""},
		"invalid":            {secret("a", token(1)), secret("a", func(s *boundobject.Secret) { token(1)(s); s.InvalidSince = "2026-01-01" }), "ended a"},
		"bootstrap token":    {secret("a", bootstrap), secret("a", bootstrap), "ended a"},
	} {
		if got := told(ofSecret(view.Change[boundobject.Secret]{Before: test.before, After: test.after})); got != test.want {
			t.Errorf("%s: %q, want %q", name, got, test.want)
		}
	}
}

// TestOthers tells of revocations, access tokens, users and trusted issuers.
func TestOthers(t *testing.T) {
	revoked := func(change func(*v1alpha1.TokenRevocationSpec)) string {
		made := &v1alpha1.TokenRevocation{Spec: v1alpha1.TokenRevocationSpec{KeyID: "k", Reason: "why"}}
		change(&made.Spec)
		return told(ofRevocation(view.Change[revocation.Record]{After: &revocation.Record{}, Object: made}))
	}
	token := func(idle int32, deleted bool) *oauth.AccessToken {
		return &oauth.AccessToken{UserName: "alice", IdleAfter: idle, Deleted: deleted}
	}
	tokens := func(before, after *oauth.AccessToken) string {
		return told(ofAccessToken(view.Change[oauth.AccessToken]{Before: before, After: after}))
	}
	users := func(before, after *oauth.User) string {
		return told(ofUser(view.Change[oauth.User]{Before: before, After: after}))
	}
	issuer := func(generation int64) **v1alpha1.TrustedIssuer {
		i := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{UID: "u", Generation: generation}, Spec: v1alpha1.TrustedIssuerSpec{URL: "x"}}
		return &i
	}
	issuers := func(before, after **v1alpha1.TrustedIssuer) string {
		return told(ofIssuer(view.Change[*v1alpha1.TrustedIssuer]{Before: before, After: after}))
	}
	for name, test := range map[string][2]string{
		"revocation":                 {revoked(func(*v1alpha1.TokenRevocationSpec) {}), "revoked k"},
		"revocation of certificates": {revoked(func(s *v1alpha1.TokenRevocationSpec) { s.ClientCertificate = &v1alpha1.ClientCertificateReference{} }), ""},
		"revocation in a list":       {told(ofRevocation(view.Change[revocation.Record]{After: &revocation.Record{}})), ""},
		"access token made":          {tokens(nil, token(1, false)), ""},
		"access token used":          {tokens(token(1, false), token(2, false)), ""},
		"access token leaves":        {tokens(token(1, false), token(1, true)), "ended "},
		"access token gone":          {tokens(token(1, false), nil), "ended "},
		"user made":                  {users(nil, &oauth.User{UID: "a"}), ""},
		"user changed":               {users(&oauth.User{UID: "a"}, &oauth.User{UID: "a"}), ""},
		"user made again":            {users(&oauth.User{UID: "a"}, &oauth.User{UID: "b"}), "ended a"},
		"user gone":                  {users(&oauth.User{UID: "a"}, nil), "ended a"},
		"issuer made":                {issuers(nil, issuer(1)), ""},
		"issuer's status":            {issuers(issuer(1), issuer(1)), ""},
		"issuer changed":             {issuers(issuer(1), issuer(2)), "issuer x"},
		"issuer gone":                {issuers(issuer(1), nil), "issuer x"},
	} {
		if test[0] != test[1] {
			t.Errorf("%s: %q, want %q", name, test[0], test[1])
		}
	}
}
