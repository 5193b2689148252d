package boundobject

import (
	"crypto/sha256"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/internal/view"
)

// Labels of secrets that hold legacy tokens (KEP-2799).
const (
	// LastUsedLabel holds the UTC date of the last use.
	LastUsedLabel = "kubernetes.io/legacy-token-last-used"
	// InvalidSinceLabel holds the UTC date since which the token is refused.
	InvalidSinceLabel = "kubernetes.io/legacy-token-invalid-since"
)

// Index is the live index of the objects that a token can be bound to, with as much of each as decisions about tokens need.
type Index struct {
	Namespaces      *view.View[Namespace]
	ServiceAccounts *view.View[ServiceAccount]
	Secrets         *view.View[Secret]
	Pods            *view.View[Pod]
	Nodes           *view.View[Node]

	gone gone
}

// NewIndex returns an empty index. Its views follow the storage once they are decorated and run.
func NewIndex() *Index {
	return &Index{
		Namespaces:      view.New(corev1.Resource("namespaces"), true, recordNamespace),
		ServiceAccounts: view.New(corev1.Resource("serviceaccounts"), false, recordServiceAccount),
		Secrets:         view.New(corev1.Resource("secrets"), false, recordSecret),
		Pods:            view.New(corev1.Resource("pods"), false, recordPod),
		Nodes:           view.New(corev1.Resource("nodes"), true, recordNode),
		gone:            newGone(),
	}
}

// object is the part that all records have.
type object struct {
	UID types.UID
	// Deletion is the time from which the object counts as deleted, zero for one that is not being deleted.
	Deletion time.Time
}

func (o object) identity() object { return o }

// deletedBefore reports whether the object was to be gone before t.
func (o object) deletedBefore(t time.Time) bool { return !o.Deletion.IsZero() && o.Deletion.Before(t) }

// Namespace is the record of a namespace.
type Namespace struct {
	object
	// Terminating says that no new object may be created in the namespace.
	Terminating bool
}

// ServiceAccount is the record of a service account.
type ServiceAccount struct {
	object
	// Secrets are the names in its list of secrets.
	Secrets []string
}

// Pod is the record of a pod.
type Pod struct {
	object
	ServiceAccount string
	Node           string
}

// Secret is the record of a secret.
type Secret struct {
	object
	Type corev1.SecretType
	// Token is the SHA-256 of the secret part of a bootstrap token, or of the token in any other secret. It is zero where
	// there is none.
	Token        [sha256.Size]byte
	LastUsed     string
	InvalidSince string
}

// Node is the record of a node.
type Node struct{ object }

func recordObject(meta *metav1.ObjectMeta) object {
	o := object{UID: meta.UID}
	if meta.DeletionTimestamp != nil {
		o.Deletion = meta.DeletionTimestamp.Time
	}
	return o
}

func recordNamespace(obj runtime.Object) Namespace {
	namespace := obj.(*corev1.Namespace)
	return Namespace{object: recordObject(&namespace.ObjectMeta), Terminating: namespace.Status.Phase == corev1.NamespaceTerminating}
}

func recordServiceAccount(obj runtime.Object) ServiceAccount {
	account := obj.(*corev1.ServiceAccount)
	record := ServiceAccount{object: recordObject(&account.ObjectMeta)}
	for _, ref := range account.Secrets {
		record.Secrets = append(record.Secrets, ref.Name)
	}
	return record
}

func recordPod(obj runtime.Object) Pod {
	pod := obj.(*corev1.Pod)
	return Pod{object: recordObject(&pod.ObjectMeta), ServiceAccount: pod.Spec.ServiceAccountName, Node: pod.Spec.NodeName}
}

func recordSecret(obj runtime.Object) Secret {
	secret := obj.(*corev1.Secret)
	record := Secret{
		object:       recordObject(&secret.ObjectMeta),
		Type:         secret.Type,
		LastUsed:     secret.Labels[LastUsedLabel],
		InvalidSince: secret.Labels[InvalidSinceLabel],
	}
	key := corev1.ServiceAccountTokenKey
	if secret.Type == bootstrapapi.SecretTypeBootstrapToken {
		key = bootstrapapi.BootstrapTokenSecretKey
	}
	if token := secret.Data[key]; len(token) > 0 {
		record.Token = sha256.Sum256(token)
	}
	return record
}

func recordNode(obj runtime.Object) Node {
	return Node{object: recordObject(&obj.(*corev1.Node).ObjectMeta)}
}
