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
	"github.com/mintmark/mintmark/internal/view"
)

// bootstrapTokens authenticates the tokens with which nodes join (--enable-bootstrap-token-auth). Each is in a secret of its
// own in kube-system. Clients are told no reason why a token is refused, as upstream. A token that a secret holds is
// refused for good; another one may be known to another authenticator. A token that memory does not know is looked for in
// the store, since another replica may have made it a moment ago.
type bootstrapTokens struct {
	secrets *view.View[boundobject.Secret]
}

// AuthenticateToken returns the user of a bootstrap token.
func (b bootstrapTokens) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	id, secretPart, err := bootstraptokenutil.ParseToken(token)
	if err != nil {
		return nil, false, nil //nolint:nilerr // another shape of token
	}
	name := bootstrapapi.BootstrapTokenSecretPrefix + id
	// The view tells a good token without a read of the store. Guesses of strangers are paced, and told no verdict then.
	hash := sha256.Sum256([]byte(secretPart))
	holds := func(s boundobject.Secret) bool { return subtle.ConstantTimeCompare(s.Token[:], hash[:]) == 1 }
	if record, err := b.secrets.Find(ctx, metav1.NamespaceSystem, name, holds); err == nil && !holds(record) || apierrors.IsNotFound(err) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, refusal{err}
	}
	obj, err := b.secrets.Object(ctx, metav1.NamespaceSystem, name)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, refusal{err}
	}
	secret := obj.(*corev1.Secret)
	if !isTokenOf(secret, id, secretPart) {
		return nil, false, nil
	}
	groups, badGroups := bootstrapsecretutil.GetGroups(secret)
	why := whyRefused(secret)
	if why == "" && badGroups != nil {
		why = "bad " + bootstrapapi.BootstrapTokenExtraGroupsKey
	}
	if why != "" {
		klog.FromContext(ctx).V(3).Info("Bootstrap token refused", "secret", klog.KObj(secret), "reason", why)
		return nil, false, refusal{}
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name:   bootstrapapi.BootstrapUserPrefix + id,
		Groups: groups,
	}}, true, nil
}

// isTokenOf reports whether a secret is that of the token.
func isTokenOf(secret *corev1.Secret, id, secretPart string) bool {
	return secret.Type == bootstrapapi.SecretTypeBootstrapToken &&
		subtle.ConstantTimeCompare(secret.Data[bootstrapapi.BootstrapTokenSecretKey], []byte(secretPart)) == 1 &&
		string(secret.Data[bootstrapapi.BootstrapTokenIDKey]) == id
}

// whyRefused says why a secret does not let its token in, or nothing.
func whyRefused(secret *corev1.Secret) string {
	switch {
	case secret.DeletionTimestamp != nil:
		return "the secret is being deleted"
	case bootstrapsecretutil.HasExpired(secret, time.Now()):
		return "the token has expired"
	case string(secret.Data[bootstrapapi.BootstrapTokenUsageAuthentication]) != "true":
		return "the token is not for authentication"
	}
	return ""
}
