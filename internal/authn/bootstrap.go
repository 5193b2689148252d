package authn

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecretutil "k8s.io/cluster-bootstrap/util/secrets"
	bootstraptokenutil "k8s.io/cluster-bootstrap/util/tokens"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// bootstrapTokens authenticates the tokens with which nodes join (--enable-bootstrap-token-auth). Each is in a secret of its
// own in kube-system. Clients are told no reason why a token is refused, as upstream. A token that a secret holds is
// refused for good; another one may be known to another authenticator. A token that memory does not know is looked for in
// the store, since another replica may have made it a moment ago.
type bootstrapTokens struct {
	secrets *view.View[boundobject.Secret]
	now     func() time.Time
}

// bootstrapTokenLength is how long a bootstrap token is: its id, a dot and its secret.
const bootstrapTokenLength = bootstrapapi.BootstrapTokenIDBytes + len(".") + bootstrapapi.BootstrapTokenSecretBytes

// AuthenticateToken returns the user of a bootstrap token.
func (b bootstrapTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return answer(b.Explain(ctx, token, nil))
}

// Explain does the same.
func (b bootstrapTokens) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	if len(token) != bootstrapTokenLength {
		return nil, reason.Invalid(reason.UnknownToken) // the library would write the token into its error first
	}
	id, secretPart, err := bootstraptokenutil.ParseToken(token)
	if err != nil {
		return nil, reason.Invalid(reason.UnknownToken) // another shape of token
	}
	name := bootstrapapi.BootstrapTokenSecretPrefix + id
	// The view tells a good token without a read of the store. Guesses of strangers are paced, and told no verdict then.
	hash := sha256.Sum256([]byte(secretPart))
	holds := func(s boundobject.Secret) bool { return subtle.ConstantTimeCompare(s.Token[:], hash[:]) == 1 }
	if record, err := b.secrets.Find(ctx, metav1.NamespaceSystem, name, holds); err == nil && !holds(record) || apierrors.IsNotFound(err) {
		return nil, reason.Invalid(reason.UnknownToken)
	} else if err != nil {
		return nil, refusal{err}
	}
	obj, err := b.secrets.Object(ctx, metav1.NamespaceSystem, name)
	if apierrors.IsNotFound(err) {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	if err != nil {
		return nil, refusal{err}
	}
	secret := obj.(*corev1.Secret)
	if !isTokenOf(secret, id, secretPart) {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	groups, badGroups := bootstrapsecretutil.GetGroups(secret)
	why := whyRefused(secret, b.now())
	if why == reason.None && badGroups != nil {
		why = reason.BadSecret
	}
	if notes != nil {
		notes.Note("token", nil, "", name)
	}
	if why != reason.None {
		if notes != nil {
			notes.Note("secret", silent(why), "", why.Meaning())
		}
		klog.FromContext(ctx).V(3).Info("Bootstrap token refused", "secret", klog.KObj(secret), "reason", why)
		return nil, silent(why)
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name:   bootstrapapi.BootstrapUserPrefix + id,
		Groups: groups,
	}}, nil
}

// isTokenOf reports whether a secret is that of the token.
func isTokenOf(secret *corev1.Secret, id, secretPart string) bool {
	return secret.Type == bootstrapapi.SecretTypeBootstrapToken &&
		subtle.ConstantTimeCompare(secret.Data[bootstrapapi.BootstrapTokenSecretKey], []byte(secretPart)) == 1 &&
		string(secret.Data[bootstrapapi.BootstrapTokenIDKey]) == id
}

// whyRefused says why a secret does not let its token in, or nothing.
func whyRefused(secret *corev1.Secret, now time.Time) reason.Code {
	switch {
	case secret.DeletionTimestamp != nil:
		return reason.SecretGone
	case bootstrapsecretutil.HasExpired(secret, now):
		return reason.Expired
	case string(secret.Data[bootstrapapi.BootstrapTokenUsageAuthentication]) != "true":
		return reason.NotForAuthentication
	}
	return reason.None
}
