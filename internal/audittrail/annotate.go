package audittrail

import (
	"context"
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
)

// Issued describes a token that was issued.
type Issued struct {
	// ID is the jti.
	ID        string
	Binding   boundobject.Binding
	Audiences []string
	Expires   time.Time
	// Token is the token. Only its key id is recorded.
	Token string
}

// NoteIssued annotates the event of the TokenRequest that issued a token. Without an audit log it does nothing.
func NoteIssued(ctx context.Context, t *Issued) {
	if !audit.AuditContextFrom(ctx).Enabled() {
		return
	}
	account := t.Binding.ServiceAccount
	annotate(ctx,
		IssuedCredentialID, credentialid.CredentialIDForJTI(t.ID),
		ServiceAccount, t.Binding.Namespace+"/"+account.Name,
		ServiceAccountUID, string(account.UID),
		Audiences, list(t.Audiences),
		BoundObject, boundTo(&t.Binding),
		Expires, t.Expires.UTC().Format(time.RFC3339),
		KeyID, keyID(t.Token),
	)
}

// annotate adds pairs of name and value, but for empty values.
func annotate(ctx context.Context, pairs ...string) {
	for pair := range slices.Chunk(pairs, 2) {
		if pair[1] != "" {
			audit.AddAuditAnnotation(ctx, pair[0], pair[1])
		}
	}
}

// boundTo returns the object that a token is bound to. The node of a token that is bound to a pod says only where the pod is.
func boundTo(b *boundobject.Binding) string {
	for _, one := range []struct {
		kind string
		ref  boundobject.Ref
	}{{"Pod", b.Pod}, {"Secret", b.Secret}, {"Node", b.Node}} {
		if one.ref.Name != "" {
			return one.kind + "/" + one.ref.Name + "/" + string(one.ref.UID)
		}
	}
	return ""
}

// list returns texts as a list in JSON, since an audience may have any character in it.
func list(texts []string) string {
	encoded, _ := json.Marshal(texts) // a list of strings can always be encoded
	return string(encoded)
}

// NoteReview annotates the event of a review. The user is nil if the token was refused.
func NoteReview(ctx context.Context, token string, code reason.Code, of user.Info) {
	if !audit.AuditContextFrom(ctx).Enabled() {
		return
	}
	id, name, issuer := "", "", ""
	if of != nil {
		id, name, issuer = idOf(of), of.GetName(), issuerOf(of)
	}
	if id == "" {
		id = CredentialID(token)
	}
	annotate(ctx, ReviewedCredentialID, id, ReviewedUser, name, ReviewedIssuer, issuer, Verdict, string(code.Verdict()), Reason, code.String())
}

// NoteReviews annotates the event of a request that had many tokens reviewed: how many there were, and how many of each verdict.
func NoteReviews(ctx context.Context, accepted, refused, undecided int) {
	if !audit.AuditContextFrom(ctx).Enabled() {
		return
	}
	annotate(ctx, Reviews, strconv.Itoa(accepted+refused+undecided), ReviewsAuthenticated, strconv.Itoa(accepted),
		ReviewsRefused, strconv.Itoa(refused), ReviewsUndecided, strconv.Itoa(undecided))
}

// EventKey is the key under which a context that hides the values of a request has the context of the event.
type EventKey struct{}

// NoteLiveCheckSkipped annotates the event of a request whose token was accepted without the answer of the issuer's cluster.
func NoteLiveCheckSkipped(ctx context.Context, issuer string) {
	if of, ok := ctx.Value(EventKey{}).(context.Context); ok {
		ctx = of
	}
	annotate(ctx, LiveCheckSkipped, issuer)
}

// NoteRevoked annotates the event of a request that revoked tokens. The revocation is as it is stored, without a token.
func NoteRevoked(ctx context.Context, revocation *v1alpha1.TokenRevocation) {
	spec := &revocation.Spec
	var id, account, before string
	switch {
	case spec.CredentialID != "":
		id = credentialid.CredentialIDForJTI(strings.TrimPrefix(spec.CredentialID, jtiPrefix))
	case spec.TokenHash != "":
		id = hashPrefix + strings.ToLower(spec.TokenHash)
	}
	if of := spec.ServiceAccount; of != nil {
		account = of.Namespace + "/" + of.Name
	}
	if spec.IssuedBefore != nil {
		before = spec.IssuedBefore.UTC().Format(time.RFC3339)
	}
	issuer, subject := spec.Issuer, ""
	if of := spec.Subject; of != nil {
		issuer, subject = of.Issuer, of.Subject
	}
	if of := spec.ClientCertificate; of != nil {
		annotate(ctx, RevokedCertificateUser, of.Username)
	}
	annotate(ctx, RevocationName, revocation.Name, RevokedBy, revocation.Status.RevokedBy, RevokedCredentialID, id, RevokedServiceAccount, account, RevokedIssuer, issuer, RevokedSubject, subject,
		RevokedKeyID, spec.KeyID, RevokedIssuedBefore, before)
}

// idOf returns the credential id that an authenticator has put into the extra of a user.
func idOf(u user.Info) string {
	if ids := u.GetExtra()[user.CredentialIDKey]; len(ids) > 0 {
		return ids[0]
	}
	return ""
}

// issuerOf returns the issuer of a user's token, if it is one of a TrustedIssuer.
func issuerOf(u user.Info) string {
	if known, ok := u.(interface{ Issuer() string }); ok {
		return known.Issuer()
	}
	return ""
}

// Presented wraps an authenticator of callers' tokens. It annotates the event of the request with the token's credential id,
// unless that is in the extra of the user, which is a part of each event.
type Presented struct{ authenticator.Token }

// AuthenticateToken asks the authenticator.
func (p Presented) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, ok, err := p.Token.AuthenticateToken(ctx, token)
	if accepted := ok && err == nil; !accepted || idOf(response.User) == "" {
		annotate(ctx, PresentedCredentialID, CredentialID(token))
	}
	if ok && err == nil {
		annotate(ctx, PresentedIssuer, issuerOf(response.User))
	}
	return response, ok, err
}
