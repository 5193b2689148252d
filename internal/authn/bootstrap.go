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

// bootstrapTokens knows the tokens with which nodes join (--enable-bootstrap-token-auth). Each lives in a secret of its
// own in kube-system. A token that is refused gets no reason: another authenticator may know it.
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
	// Memory knows of most guesses that there is no such secret. Whoever knows an id can guess its secret part.
	if _, ok := b.secrets.Get(metav1.NamespaceSystem, name); !ok {
		return nil, false, nil
	}
	hash := sha256.Sum256([]byte(secretPart))
	holds := func(s boundobject.Secret) bool { return subtle.ConstantTimeCompare(s.Token[:], hash[:]) == 1 }
	if record, err := b.secrets.Find(ctx, metav1.NamespaceSystem, name, holds); err == nil && !holds(record) || apierrors.IsNotFound(err) {
		return nil, false, nil
	} else if err != nil {
		return nil, false, err
	}
	obj, err := b.secrets.Object(ctx, metav1.NamespaceSystem, name)
	if apierrors.IsNotFound(err) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	secret := obj.(*corev1.Secret)
	groups, badGroups := bootstrapsecretutil.GetGroups(secret)
	why := refusal(secret, id, secretPart)
	if why == "" && badGroups != nil {
		why = "bad " + bootstrapapi.BootstrapTokenExtraGroupsKey
	}
	if why != "" {
		klog.FromContext(ctx).V(3).Info("Bootstrap token refused", "secret", klog.KObj(secret), "reason", why)
		return nil, false, nil
	}
	return &authenticator.Response{User: &user.DefaultInfo{
		Name:   bootstrapapi.BootstrapUserPrefix + id,
		Groups: groups,
	}}, true, nil
}

// refusal says why a secret does not let its token in, or nothing.
func refusal(secret *corev1.Secret, id, secretPart string) string {
	switch {
	case secret.DeletionTimestamp != nil:
		return "the secret is being deleted"
	case secret.Type != bootstrapapi.SecretTypeBootstrapToken || secret.Data == nil:
		return "the secret is of another type"
	case subtle.ConstantTimeCompare(secret.Data[bootstrapapi.BootstrapTokenSecretKey], []byte(secretPart)) != 1:
		return "the token does not match"
	case string(secret.Data[bootstrapapi.BootstrapTokenIDKey]) != id:
		return "the token id does not match"
	case bootstrapsecretutil.HasExpired(secret, time.Now()):
		return "the token has expired"
	case string(secret.Data[bootstrapapi.BootstrapTokenUsageAuthentication]) != "true":
		return "the token is not for authentication"
	}
	return ""
}
