package explanation_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/explanation"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

const issuer = "https://issuer.example"

var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// unread is an error of an authenticator whose store does not answer.
type unread struct{ error }

func (unread) Unavailable() {}

// TestUndecided: where a TokenReview has no verdict, the explanation says so. Without a token there is nothing to explain.
func TestUndecided(t *testing.T) {
	tokens := authenticator.TokenFunc(func(context.Context, string) (*authenticator.Response, bool, error) {
		return nil, false, unread{errors.New("the stored pods could not be read")}
	})
	explainer := &explanation.Explainer{Reviewer: tokenreview.New(tokenreview.Config{Authenticator: tokens}), Now: func() time.Time { return now }}
	status, err := explainer.Explain(t.Context(), &authenticationv1.TokenReviewSpec{Token: "x"})
	if err != nil || status.Verdict != v1alpha1.VerdictUndecided || status.Reason != "Undecided" || !strings.Contains(status.Error, "could not be read") || !status.ServerTime.Time.Equal(now) {
		t.Errorf("%+v, error %v", status, err)
	}
	if _, err := explainer.Explain(t.Context(), &authenticationv1.TokenReviewSpec{}); !apierrors.IsBadRequest(err) {
		t.Errorf("without a token: %v", err)
	}
}

// keys returns a signer, and its key set.
func keys(t *testing.T) (*signingkey.Signer, []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := signingkey.NewSigner(private)
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: []byte("symmetric"), KeyID: "ignored"}, {Key: private.Public(), KeyID: signer.KeyID()},
	}})
	if err != nil {
		t.Fatal(err)
	}
	return signer, set
}

// TestOffline explains tokens with a key set alone.
func TestOffline(t *testing.T) {
	signer, set := keys(t)
	other, _ := keys(t)
	pod := boundobject.Binding{
		Namespace: "ns", ServiceAccount: boundobject.Ref{Name: "app", UID: "u1"}, Pod: boundobject.Ref{Name: "p", UID: "u3"},
	}
	sign := func(by *signingkey.Signer, issued time.Time) string {
		claims := serviceaccount.NewClaims(issuer, "8a3a", pod, []string{"vault"}, issued, time.Hour, 0)
		token, err := by.Sign(t.Context(), claims.Encode())
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	good := sign(signer, now)
	for name, test := range map[string]struct {
		token, audience, issuer string
		verdict                 v1alpha1.Verdict
		reason                  string
	}{
		"good":             {good, "", "", v1alpha1.VerdictAuthenticated, "Accepted"},
		"for its audience": {good, "vault", issuer, v1alpha1.VerdictAuthenticated, "Accepted"},
		"for another":      {good, "api", "", v1alpha1.VerdictRefused, "AudienceMismatch"},
		"of another":       {good, "", "https://other.example", v1alpha1.VerdictRefused, "UnknownIssuer"},
		"expired":          {sign(signer, now.Add(-2*time.Hour)), "", "", v1alpha1.VerdictRefused, "Expired"},
		"early":            {sign(signer, now.Add(2*time.Hour)), "", "", v1alpha1.VerdictRefused, "NotYetValid"},
		"by another key":   {sign(other, now), "", "", v1alpha1.VerdictRefused, "UnknownKey"},
		"forged":           {good[:len(good)-20] + "AAAAAAAAAAAAAAAAAAAA", "", "", v1alpha1.VerdictRefused, "BadSignature"},
		"cut":              {good[:len(good)/2], "", "", v1alpha1.VerdictRefused, "UnknownToken"},
		"no text of ours":  {"a.b.c", "", "", v1alpha1.VerdictRefused, "BadShape"},
	} {
		offline := explanation.Offline{KeySet: set, Issuer: test.issuer, Now: func() time.Time { return now }}
		if test.audience != "" {
			offline.Audiences = []string{test.audience}
		}
		status, err := offline.Explain(t.Context(), test.token)
		if err != nil || status.Verdict != test.verdict || status.Reason != test.reason {
			t.Errorf("%s: %s %s (%s), error %v; want %s %s", name, status.Verdict, status.Reason, status.Error, err, test.verdict, test.reason)
		}
		if test.verdict == v1alpha1.VerdictAuthenticated {
			last := status.Checks[len(status.Checks)-1]
			if last.Name != "boundPod" || last.Result != v1alpha1.CheckNotReached || !strings.Contains(status.Message, "offline") {
				t.Errorf("%s: the last check is %+v, and the message %q", name, last, status.Message)
			}
		}
	}
	for _, bad := range []string{"", "[]", `{"keys":[]}`, `{"keys":[{"kty":"oct","k":"AA"}]}`, `{"jwks_uri":"https://issuer.example/jwks"}`} {
		if _, err := (&explanation.Offline{KeySet: []byte(bad)}).Explain(t.Context(), good); err == nil {
			t.Errorf("the key set %q is taken", bad)
		}
	}
}
