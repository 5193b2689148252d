package certificates

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	bootstrapsecretutil "k8s.io/cluster-bootstrap/util/secrets"
)

// A bootstrap token for one node is a secret as Kubernetes has it (kube-system/bootstrap-token-<id>) with further keys.
const (
	// NodeNameKey holds the one name that the token is good for.
	NodeNameKey = "node-name"
	// UsedByKey holds the KeyHash of the first request that was approved by the token. The token is good for that key alone
	// from then on.
	UsedByKey = "used-by"
	// RejoinKey holds "true" if a Node of that name may be there already.
	RejoinKey = "rejoin"
)

// NodeBootstrappers is the group of the users of bootstrap tokens for one node.
const NodeBootstrappers = "system:bootstrappers:mintmark:node"

// The errors of requests by bootstrap tokens for one node are sentences for the person at that machine.
var (
	errTokenGone     = errors.New("the bootstrap token is gone or has expired: make a new one with 'mintmark node add NAME'")
	errTokenNameless = errors.New("the bootstrap token is one for a single node, and its secret names none: make a new one with 'mintmark node add NAME'")
)

// Secrets reads secrets as they are stored now. Its errors are those of the API.
type Secrets interface {
	Object(ctx context.Context, namespace, name string) (runtime.Object, error)
}

// FindToken returns the secret of the bootstrap token that a user came with. It returns nil for other users, and if the secret
// is gone.
func FindToken(ctx context.Context, secrets Secrets, username string) (*corev1.Secret, error) {
	id, found := strings.CutPrefix(username, bootstrapapi.BootstrapUserPrefix)
	if !found {
		return nil, nil
	}
	obj, err := secrets.Object(ctx, metav1.NamespaceSystem, bootstrapapi.BootstrapTokenSecretPrefix+id)
	switch {
	case apierrors.IsNotFound(err), apierrors.IsBadRequest(err): // BadRequest is for names that no secret can have
		return nil, nil
	case err != nil:
		return nil, err
	}
	return obj.(*corev1.Secret), nil
}

// ForOneNode reports whether a requester came with a bootstrap token for one node: if its groups or the secret of its token
// say so. The secret is nil if there is none.
func ForOneNode(groups []string, secret *corev1.Secret) bool {
	if slices.Contains(groups, NodeBootstrappers) {
		return true
	}
	if secret == nil || secret.Type != bootstrapapi.SecretTypeBootstrapToken {
		return false
	}
	_, found := secret.Data[NodeNameKey]
	return found
}

// CheckNode returns why a bootstrap token for one node is not good for a request, or nil. The secret is nil if there is none.
func CheckNode(secret *corev1.Secret, signer string, request *x509.CertificateRequest, now time.Time) error {
	switch {
	case secret == nil, secret.Type != bootstrapapi.SecretTypeBootstrapToken, secret.DeletionTimestamp != nil, bootstrapsecretutil.HasExpired(secret, now):
		return errTokenGone
	case len(secret.Data[NodeNameKey]) == 0:
		return errTokenNameless
	case signer != certificatesv1.KubeAPIServerClientKubeletSignerName:
		return fmt.Errorf("a bootstrap token for one node is good for the signer %s alone, not for %q", certificatesv1.KubeAPIServerClientKubeletSignerName, signer)
	}
	if name := string(secret.Data[NodeNameKey]); request.Subject.CommonName != nodePrefix+name {
		return fmt.Errorf("the bootstrap token is good for the node %q alone, so the common name must be %q, not %q: "+
			"join by that name, or make a token for the other one with 'mintmark node add NAME'",
			name, nodePrefix+name, request.Subject.CommonName)
	}
	return nil
}

// CheckFirst returns why a bootstrap token for one node is used up for a request, or nil. taken says that there is a Node of the
// token's name. first says that no request was approved by the token yet.
func CheckFirst(secret *corev1.Secret, request *x509.CertificateRequest, taken bool) (first bool, err error) {
	name, usedBy := string(secret.Data[NodeNameKey]), string(secret.Data[UsedByKey])
	switch {
	case usedBy == KeyHash(request):
		return false, nil // a machine that was interrupted goes on with its key
	case usedBy != "":
		return false, fmt.Errorf("the bootstrap token was used with another key already: make a new one with 'mintmark node add %s'", name)
	case taken && string(secret.Data[RejoinKey]) != "true":
		return false, fmt.Errorf("there is a node %q already: choose another name, or have this machine take its place with 'mintmark node add %s --rejoin'", name, name)
	}
	return true, nil
}
