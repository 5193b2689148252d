package apiserver

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/view"
)

// revokePath is the collection of tokenrevocations.
var revokePath = "/apis/" + mintmarkv1alpha1.SchemeGroupVersion.String() + "/tokenrevocations"

// revokes reports whether a request makes a revocation, at either of the two paths.
func revokes(r *http.Request) bool {
	return r.Method == http.MethodPost && (r.URL.Path == mintmark.RevokePath || r.URL.Path == revokePath)
}

// withPresented has requests that make a revocation carry the token that they present, since a holder may take it back.
// Authenticators remove it from the headers.
func withPresented(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if revokes(r) {
			scheme, token, _ := strings.Cut(strings.TrimSpace(r.Header.Get("Authorization")), " ")
			if !strings.EqualFold(scheme, "bearer") {
				token = ""
			}
			r = r.WithContext(mintmark.WithPresented(r.Context(), strings.TrimSpace(token)))
		}
		next.ServeHTTP(w, r)
	})
}

// orToken lets requests to mintmark.RevokePath pass without a credential, since the token in the body is enough. A credential that
// is refused is noted.
func orToken(next authenticator.Request) authenticator.Request {
	return authenticator.RequestFunc(func(r *http.Request) (*authenticator.Response, bool, error) {
		response, ok, err := next.AuthenticateRequest(r)
		if !revokes(r) || r.URL.Path != mintmark.RevokePath || ok && err == nil && !unauthenticated(response.User) {
			return response, ok, err
		}
		if err != nil || r.Header.Get("Authorization") != "" {
			mintmark.RefuseCredential(r.Context())
			r.Header.Del("Authorization")
		}
		return &authenticator.Response{User: &user.DefaultInfo{Name: user.Anonymous, Groups: []string{user.AllUnauthenticated}}}, true, nil
	})
}

func unauthenticated(u user.Info) bool {
	return slices.Contains(u.GetGroups(), user.AllUnauthenticated)
}

// revokers lets every caller ask for a revocation. Its storage decides, since a holder may revoke a token without any permission.
func revokers(next authorizer.Authorizer) authorizer.Authorizer {
	return authorizer.AuthorizerFunc(func(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
		decision, reason, err := next.Authorize(ctx, a)
		if decision == authorizer.DecisionAllow || !a.IsResourceRequest() || a.GetVerb() != "create" || a.GetSubresource() != "" ||
			a.GetAPIGroup() != mintmarkv1alpha1.GroupName || a.GetResource() != "tokenrevocations" {
			return decision, reason, err
		}
		if a.GetUser() == nil || unauthenticated(a.GetUser()) && a.GetPath() != mintmark.RevokePath {
			return decision, reason, err
		}
		return authorizer.DecisionAllow, "a holder may revoke a token; the storage decides", nil
	})
}

// revokeRequests makes requests to mintmark.RevokePath count as create of tokenrevocations, so that they wait for the views, and are
// audited and limited as such.
type revokeRequests struct {
	genericapirequest.RequestInfoResolver
}

// NewRequestInfo returns the resource and the verb of a request.
func (w revokeRequests) NewRequestInfo(r *http.Request) (*genericapirequest.RequestInfo, error) {
	if !revokes(r) || r.URL.Path != mintmark.RevokePath {
		return w.RequestInfoResolver.NewRequestInfo(r)
	}
	return &genericapirequest.RequestInfo{
		IsResourceRequest: true,
		Path:              r.URL.Path,
		Verb:              "create",
		APIPrefix:         "apis",
		APIGroup:          mintmarkv1alpha1.GroupName,
		APIVersion:        mintmarkv1alpha1.SchemeGroupVersion.Version,
		Resource:          "tokenrevocations",
		Parts:             []string{"tokenrevocations"},
	}, nil
}

// has reports whether there is a key with that id, which another replica may have made a moment ago. Without an answer of the store
// it reports false.
func (k *keys) has(ctx context.Context, keyID string) bool {
	return k.ring.Find(ctx, keyID) == nil && k.ring.Holds(keyID)
}

// tokenEnds tells when tokens end, so that revocations can be removed.
type tokenEnds struct {
	// managed says that the signing keys are those in the store, which note until when tokens of theirs live.
	managed bool
	keys    *view.View[*mintmarkv1alpha1.SigningKey]
	secrets *view.View[boundobject.Secret]
	tokens  Tokens
	own     *keys
	union   *authn.Union
	// furtherCA says that the certificates of other authorities are accepted as well (--client-ca-file).
	furtherCA bool
	// certificateLife is the longest life of certificates that are signed for requests.
	certificateLife time.Duration
	now             func() time.Time
}

var _ mintmark.Ends = tokenEnds{}

// longestLife is the longest life that a TokenRequest may ask for, and extendedLife that of tokens which pods mount where it is
// extended.
const longestLife, extendedLife = 1 << 32 * time.Second, 365 * 24 * time.Hour

// Issued returns the latest end that the signing keys note. Keys in files note none: their tokens have ended when the longest life
// has passed.
func (e tokenEnds) Issued(ctx context.Context) (time.Time, bool) {
	var latest time.Time
	stored := e.keys.Keys(func(view.Key, *mintmarkv1alpha1.SigningKey) bool { return true })
	for _, key := range stored {
		// Another replica may have noted a later end a moment ago.
		found, err := e.keys.Read(ctx, "", key.Name)
		if err != nil {
			return time.Time{}, false
		}
		if until := found.Status.TokensUntil; until != nil && until.After(latest) {
			latest = until.Time
		}
	}
	if e.managed && len(stored) > 0 {
		return latest, true
	}
	life := e.tokens.MaxExpiration
	switch {
	case life == 0:
		life = longestLife
	case e.tokens.ExtendExpiration:
		life = max(life, extendedLife)
	}
	if other := e.now().Add(life); other.After(latest) {
		latest = other
	}
	return latest, true
}

// Account does not know an end while the namespace has a secret with a token: such a token has none.
func (e tokenEnds) Account(ctx context.Context, namespace, _ string) (time.Time, bool) {
	if !e.tokens.Lookup {
		return time.Time{}, false
	}
	legacy := e.secrets.Keys(func(key view.Key, secret boundobject.Secret) bool {
		return secret.Type == corev1.SecretTypeServiceAccountToken && (namespace == "" || key.Namespace == namespace)
	})
	if len(legacy) > 0 {
		return time.Time{}, false
	}
	return e.Issued(ctx)
}

// Certificates returns the latest end of certificates that this server issued: those of its administrator, and those that were signed
// for requests. With --client-ca-file there may be others, and no end is known.
func (e tokenEnds) Certificates(context.Context) (time.Time, bool) {
	return e.now().Add(max(datadir.LeafLife, e.certificateLife)), !e.furtherCA
}

// Token returns the end of tokens of this server and of OpenID Connect issuers. A webhook may accept tokens that say they have ended.
func (e tokenEnds) Token(ctx context.Context, token string) (time.Time, bool) {
	if !slices.Contains(e.own.issuers, revocation.Read(token).Issuer) && !e.union.Knows(ctx, token) {
		return time.Time{}, false
	}
	return revocation.End(token)
}
