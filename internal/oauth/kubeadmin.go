package oauth

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"time"

	userv1 "github.com/openshift/api/user/v1"
	"golang.org/x/crypto/bcrypt"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
)

// kube:admin, the administrator of a cluster's first hours, is no User. Its password is in a secret, and its tokens are good as
// long as the secret is unchanged. Deleting the secret disables kube:admin for good.
const (
	KubeAdmin       = "kube:admin"
	kubeAdminSecret = "kubeadmin" // in kube-system; and the key in it
	// KubeAdminGroup is the only group of kube:admin.
	KubeAdminGroup = "system:cluster-admins"
	// kubeAdminGrace is how long after its namespace the secret may have been made.
	kubeAdminGrace = time.Hour
)

var (
	errNotAUser    = apierrors.NewNotFound(userv1.Resource("users"), KubeAdmin)
	errNoKubeAdmin = reason.With(reason.UserGone, errNotAUser)
	errRecreated   = reason.New(reason.SecretRecreated, "kubeadmin secret cannot be recreated")
)

// kubeAdmin returns kube:admin if its token is good.
func (a *Authenticator) kubeAdmin(ctx context.Context, token *found, used bool) (user.Info, error) {
	uid, err := a.kubeAdminUID(ctx)
	if err != nil {
		return nil, err
	}
	if err := a.check(ctx, token, uid, used); err != nil {
		return nil, err
	}
	return &user.DefaultInfo{
		Name:   KubeAdmin,
		Groups: []string{KubeAdminGroup},
		Extra:  token.Extra,
	}, nil
}

// kubeAdminUID returns the uid that tokens of kube:admin have to have. The secret is read from the storage: it is asked
// for rarely, and its version counts.
func (a *Authenticator) kubeAdminUID(ctx context.Context) (string, error) {
	obj, err := a.Secrets.Object(ctx, metav1.NamespaceSystem, kubeAdminSecret)
	if apierrors.IsNotFound(err) {
		return "", errNoKubeAdmin
	}
	if err != nil {
		return "", err
	}
	secret := obj.(*corev1.Secret)
	if secret.DeletionTimestamp != nil {
		return "", errNoKubeAdmin
	}
	system, err := a.Namespaces.Object(ctx, "", metav1.NamespaceSystem)
	if err != nil {
		return "", err
	}
	if secret.CreationTimestamp.After(system.(*corev1.Namespace).CreationTimestamp.Add(kubeAdminGrace)) {
		return "", errRecreated
	}
	// The login checks the password. A secret that holds no hash of one has no valid tokens.
	if _, err := bcrypt.Cost(secret.Data[kubeAdminSecret]); err != nil {
		return "", reason.With(reason.BadSecret, err)
	}
	return KubeAdminUID(secret), nil
}

// KubeAdminUID returns the uid of kube:admin in tokens. Every write to the secret makes it another one.
func KubeAdminUID(secret *corev1.Secret) string {
	hash := sha512.New()
	for _, part := range [][]byte{[]byte(secret.UID), []byte(secret.ResourceVersion), secret.Data[kubeAdminSecret]} {
		_, _ = hash.Write(part) // it never fails
	}
	return base64.RawURLEncoding.EncodeToString(hash.Sum(nil))
}
