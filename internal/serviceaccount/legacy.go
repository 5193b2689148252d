package serviceaccount

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"slices"
	"time"

	josejson "github.com/go-jose/go-jose/v4/json"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/view"
)

// legacyClaims are the claims of a token that lives in a secret: no times, no audience, no id.
type legacyClaims struct {
	Issuer    string   `json:"iss"`
	Namespace string   `json:"kubernetes.io/serviceaccount/namespace"`
	Secret    string   `json:"kubernetes.io/serviceaccount/secret.name"`
	Name      string   `json:"kubernetes.io/serviceaccount/service-account.name"`
	UID       string   `json:"kubernetes.io/serviceaccount/service-account.uid"`
	Subject   string   `json:"sub"`
	Audiences []string `json:"-"`
	keyID     string   // of the token's header
}

// EncodeLegacy returns the claims of the token that a secret holds for a service account.
func EncodeLegacy(namespace, account, uid, secret string) ([]byte, error) {
	return json.Marshal(legacyClaims{
		Issuer:    LegacyIssuer,
		Namespace: namespace,
		Secret:    secret,
		Name:      account,
		UID:       uid,
		Subject:   serviceaccountuser.MakeUsername(namespace, account),
	})
}

func decodeLegacyClaims(payload []byte) (legacyClaims, error) {
	// The public claims first, for the audience and for errors in the order of kube-apiserver's.
	var public publicClaims
	if err := josejson.Unmarshal(payload, &public); err != nil {
		return legacyClaims{}, reason.With(reason.BadClaims, err)
	}
	var c legacyClaims
	if err := josejson.Unmarshal(payload, &c); err != nil {
		return legacyClaims{}, reason.With(reason.BadClaims, err)
	}
	if c.Issuer != LegacyIssuer {
		return legacyClaims{}, reason.Errorf(reason.UnknownIssuer, "token issuer %q is invalid", c.Issuer)
	}
	c.Audiences = public.Audiences
	return c, nil
}

// checkLegacy decides about a token in a secret. Texts and order are kube-apiserver's (pkg/serviceaccount/legacy.go).
func (a *Authenticator) checkLegacy(ctx context.Context, token string, c *legacyClaims, notes *reason.Checks) (*authenticator.Response, error) {
	refused := reason.First{All: notes != nil}
	audiences, err := a.audiences(ctx, c.Audiences, c.Subject, notes)
	if refused.Stop(err) {
		return nil, err
	}
	bad := c.check()
	noteLegacyClaims(c, bad, notes)
	if refused.Stop(bad) {
		return nil, bad
	}
	// Claims that are missing name nothing that could be looked up.
	if a.LegacyLookup && bad == nil {
		if err := a.lookUpLegacy(ctx, token, c, notes); refused.Stop(err) {
			return nil, err
		}
	}
	if refused.Err != nil {
		return nil, refused.Err
	}
	return &authenticator.Response{Audiences: audiences, User: legacyUser{serviceaccountuser.UserInfo(c.Namespace, c.Name, c.UID), c}}, nil
}

// legacyUser is the service account of a token that lives in a secret.
type legacyUser struct {
	user.Info
	claims *legacyClaims
}

// Credential returns what the token says that a revocation can go by: no id, and not when it was issued.
func (u legacyUser) Credential() revocation.Credential {
	c := u.claims
	return revocation.Credential{Own: true, Issuer: c.Issuer, Subject: c.Subject, KeyID: c.keyID, Namespace: c.Namespace, Account: c.Name}
}

// check looks at the claims alone.
func (c *legacyClaims) check() error {
	for _, claim := range []struct{ value, missing string }{
		{c.Subject, "sub claim is missing"},
		{c.Namespace, "namespace claim is missing"},
		{c.Secret, "secretName claim is missing"},
		{c.Name, "serviceAccountName claim is missing"},
		{c.UID, "serviceAccountUID claim is missing"},
	} {
		if claim.value == "" {
			return reason.New(reason.BadClaims, claim.missing)
		}
	}
	namespace, name, err := serviceaccountuser.SplitUsername(c.Subject)
	if err != nil || namespace != c.Namespace || name != c.Name {
		return reason.New(reason.BadClaims, "sub claim is invalid")
	}
	return nil
}

// lookUpLegacy compares the token with its secret and its account.
func (a *Authenticator) lookUpLegacy(ctx context.Context, token string, c *legacyClaims, notes *reason.Checks) error {
	refused := reason.First{All: notes != nil}
	secret, err := a.secretWith(ctx, token, c)
	noteLegacy(checkSecret, c.Namespace+"/"+c.Secret, err, notes)
	if refused.Stop(err) {
		return err
	}
	account, err := a.legacyAccount(ctx, c)
	noteLegacy(checkAccount, c.Namespace+"/"+c.Name, err, notes)
	if refused.Stop(err) {
		return err
	}
	if refused.Err != nil {
		return refused.Err
	}
	if notes == nil {
		defer a.noteUse(ctx, c, secret)
	}
	err = markedInvalid(c, secret)
	noteLegacy(checkMark, "", err, notes)
	if notes == nil {
		countLegacy(ctx, c, slices.Contains(account.Secrets, c.Secret), err != nil)
	}
	return err
}

// legacyAccount returns the account of a token in a secret.
func (a *Authenticator) legacyAccount(ctx context.Context, c *legacyClaims) (boundobject.ServiceAccount, error) {
	account, err := a.Index.Account(ctx, c.Namespace, boundobject.Ref{Name: c.Name, UID: types.UID(c.UID)}, a.Now())
	switch {
	case err != nil:
		return account, err
	case !account.Deletion.IsZero():
		return account, reason.Errorf(reason.AccountGone, "ServiceAccount %s/%s has been deleted", c.Namespace, c.Name)
	case string(account.UID) != c.UID:
		return account, reason.Errorf(reason.AccountRecreated, "ServiceAccount UID (%s) does not match claim (%s)", account.UID, c.UID)
	}
	return account, nil
}

// markedInvalid refuses a token whose secret is marked.
func markedInvalid(c *legacyClaims, secret boundobject.Secret) error {
	if secret.InvalidSince != "" {
		return reason.Errorf(reason.MarkedInvalid, "the token in secret %s/%s for service account %s/%s has been marked invalid. Use tokens from the TokenRequest API or manually created secret-based tokens, or remove the '%s' label from the secret to temporarily allow use of this token",
			c.Namespace, c.Secret, c.Namespace, c.Name, boundobject.InvalidSinceLabel)
	}
	return nil
}

// countLegacy counts the use of a token in a secret, and tells the caller of one that was generated.
func countLegacy(ctx context.Context, c *legacyClaims, generated, invalidated bool) {
	if invalidated {
		audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token-invalidated", c.Secret+"/"+c.Namespace)
		if generated {
			metrics.InvalidatedAuto.WithContext(ctx).Inc()
		}
		return
	}
	if !generated {
		audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token-manual-secret", c.Secret)
		metrics.LegacyManual.WithContext(ctx).Inc()
		return
	}
	warning.AddWarning(ctx, "", "Use tokens from the TokenRequest API or manually created secret-based tokens instead of auto-generated secret-based tokens.")
	audit.AddAuditAnnotation(ctx, "authentication.k8s.io/legacy-token-autogenerated-secret", c.Secret)
	metrics.LegacyAuto.WithContext(ctx).Inc()
}

// secretWith returns the secret that holds the token.
func (a *Authenticator) secretWith(ctx context.Context, token string, c *legacyClaims) (boundobject.Secret, error) {
	want := sha256.Sum256([]byte(token))
	holds := func(s boundobject.Secret) bool { return subtle.ConstantTimeCompare(s.Token[:], want[:]) == 1 }
	secret, err := a.Index.Secrets.Find(ctx, c.Namespace, c.Secret, holds)
	if _, ok := errors.AsType[*view.Unavailable](err); ok {
		return boundobject.Secret{}, err
	}
	switch {
	case err != nil, !secret.Deletion.IsZero():
		return boundobject.Secret{}, reason.New(reason.SecretGone, "Token has been invalidated")
	case !holds(secret):
		return boundobject.Secret{}, reason.New(reason.SecretMismatch, "Token does not match server's copy")
	}
	return secret, nil
}

// noteUse writes the day of use on the secret, once a day. A failure is no reason to refuse the token.
func (a *Authenticator) noteUse(ctx context.Context, c *legacyClaims, secret boundobject.Secret) {
	now := a.Now().UTC()
	today, tomorrow := now.Format(time.DateOnly), now.AddDate(0, 0, 1).Format(time.DateOnly)
	if a.MarkUsed == nil || secret.LastUsed == today || secret.LastUsed == tomorrow {
		return
	}
	if err := a.MarkUsed(ctx, c.Namespace, c.Secret, string(secret.UID), today); err != nil {
		klog.FromContext(ctx).Error(err, "The day of use can't be noted on the secret of a legacy token", "secret", klog.KRef(c.Namespace, c.Secret))
	}
}
