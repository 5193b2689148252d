package explanation

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Offline is what can be told about a service account token without a server: its form, signature, times and audiences.
// Whether the account and the object that the token is bound to exist, and whether the token was revoked, can't.
type Offline struct {
	// KeySet is a JSON Web Key Set (RFC 7517), the keys of the issuer.
	KeySet []byte
	// Issuer is the issuer that the token must name; empty means any.
	Issuer string
	// Audiences are those of which the token must be for one; none means any.
	Audiences []string
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// offlineMessage is the message about a token with which nothing is wrong.
const offlineMessage = "Nothing is wrong with the token as far as can be told offline. Whether its service account and the object " +
	"that it is bound to still exist, and whether it was revoked, only the server can tell."

// Explain explains a token with the code that a server decides by. The error says that the key set can't be used.
func (o *Offline) Explain(ctx context.Context, token string) (v1alpha1.TokenExplanationStatus, error) {
	keys, err := readKeySet(o.KeySet)
	if err != nil {
		return v1alpha1.TokenExplanationStatus{}, err
	}
	now := o.Now
	if now == nil {
		now = time.Now
	}
	issuer := o.Issuer
	if issuer == "" {
		issuer = claimedIssuer(token)
	}
	tokens := serviceaccount.New(serviceaccount.Config{
		Issuers: []string{issuer}, APIAudiences: o.Audiences, Keys: signingkey.NewRing(keys, now), Now: now,
	})
	reviewer := tokenreview.New(tokenreview.Config{Authenticator: tokens, APIAudiences: o.Audiences})
	explainer := &Explainer{Reviewer: reviewer, Now: now}
	status, err := explainer.Explain(ctx, &authenticationv1.TokenReviewSpec{Token: token})
	if status.Verdict == v1alpha1.VerdictAuthenticated {
		status.Message = offlineMessage
	}
	return status, err
}

// claimedIssuer returns the issuer that a token names; nothing has been checked then.
func claimedIssuer(token string) string {
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	decoded, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Issuer string `json:"iss"`
	}
	if err != nil || json.Unmarshal(decoded, &claims) != nil {
		return ""
	}
	return claims.Issuer
}

// published is a source of keys that were published, under the ids that they were published with.
type published struct{ keys []signingkey.PublicKey }

// Bind does nothing: the keys don't change.
func (published) Bind(func()) {}

// Contents returns the keys.
func (p published) Contents(time.Time) (signingkey.Contents, error) {
	return signingkey.Contents{Keys: p.keys}, nil
}

// Find finds no further keys.
func (published) Find(context.Context, string) error { return nil }

// Run returns at once.
func (published) Run(context.Context) {}

// readKeySet reads a key set. Keys that check no signatures are left out, as RFC 7517 section 5 has it.
func readKeySet(text []byte) (published, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil || set.Keys == nil {
		return published{}, errors.New("this is not a JSON Web Key Set: it must be a JSON object with the member keys")
	}
	var keys published
	for _, raw := range set.Keys {
		var key jose.JSONWebKey
		if json.Unmarshal(raw, &key) != nil || !key.Valid() || !key.IsPublic() {
			continue
		}
		keys.keys = append(keys.keys, signingkey.PublicKey{ID: key.KeyID, Public: key.Key})
	}
	if len(keys.keys) == 0 {
		return published{}, fmt.Errorf("none of the %d keys in the JSON Web Key Set is a public key that can be used", len(set.Keys))
	}
	return keys, nil
}
