package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/google/uuid"
	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/runtime/serializer/protobuf"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	kubernetesscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// batch is how many objects a transaction writes: as many as etcd takes by default.
const batch = 128

// storePrefix begins the keys of all objects.
const storePrefix = "/mintmark"

// specimens are objects as the server stores them, of which many are made in its store.
type specimens struct {
	namespace  *corev1.Namespace
	account    *corev1.ServiceAccount
	pod        *corev1.Pod
	revocation *v1alpha1.TokenRevocation
}

// newSpecimens has a server make one object of each kind, and removes them again.
func newSpecimens(ctx context.Context, s *site) (*specimens, error) {
	config := rest.CopyConfig(s.admin)
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	name := namespaceOf(0)
	made := &specimens{revocation: &v1alpha1.TokenRevocation{}}
	if made.namespace, err = client.CoreV1().Namespaces().Create(ctx, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		return nil, err
	}
	if err := create(ctx, client, 0, true); err != nil {
		return nil, err
	}
	if made.account, err = client.CoreV1().ServiceAccounts(name).Get(ctx, accountOf(0), metav1.GetOptions{}); err != nil {
		return nil, err
	}
	if made.pod, err = client.CoreV1().Pods(name).Get(ctx, podOf(0), metav1.GetOptions{}); err != nil {
		return nil, err
	}
	text, err := revoke(ctx, client).Raw()
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(text, made.revocation); err != nil {
		return nil, err
	}
	for _, meta := range []*metav1.ObjectMeta{&made.namespace.ObjectMeta, &made.account.ObjectMeta, &made.pod.ObjectMeta, &made.revocation.ObjectMeta} {
		meta.ResourceVersion = ""
	}
	for path, name := range map[string]string{"/api/v1/namespaces": name, revocationsPath: made.revocation.Name} {
		if err := client.CoreV1().RESTClient().Delete().AbsPath(path, name).Do(ctx).Error(); err != nil {
			return nil, err
		}
	}
	return made, nil
}

// check returns an error unless a server lists all objects that were written into its store.
func (o *size) check(ctx context.Context, s *site, all stock) error {
	for path, want := range map[string]int{revocationsPath: all.revocations, "/api/v1/serviceaccounts": all.accounts, "/api/v1/pods": all.pods} {
		if want == 0 {
			continue
		}
		text, err := s.client.CoreV1().RESTClient().Get().AbsPath(path).Param("limit", "1").SetHeader("Accept", runtime.ContentTypeJSON).Do(ctx).Raw()
		if err != nil {
			return err
		}
		list := metav1.PartialObjectMetadataList{}
		if err := json.Unmarshal(text, &list); err != nil {
			return err
		}
		if n := len(list.Items) + int(ptr.Deref(list.RemainingItemCount, 0)); n < want {
			return fmt.Errorf("the server lists %d objects at %s instead of %d", n, path, want)
		}
	}
	return nil
}

// stock is how many objects there are.
type stock struct{ accounts, pods, revocations int }

func (s stock) String() string {
	if s.revocations > 0 {
		return fmt.Sprintf("%d revocations", s.revocations)
	}
	return fmt.Sprintf("%d accounts, %d pods", s.accounts, s.pods)
}

func (s stock) total() int { return s.accounts + s.pods + s.revocations }

// of returns the stock of a size.
func (o *size) of(objects int) stock {
	if o.revocations {
		return stock{revocations: objects}
	}
	return stock{accounts: objects, pods: min(objects, o.pods)}
}

// pair is an object and its key in the store.
type pair struct{ key, value string }

// write stores what a stock has more than another one in etcd, without a server.
func (sp *specimens) write(ctx context.Context, client *clientv3.Client, before, after stock, workers int, log io.Writer) error {
	namespaces := func(s stock) int { return (s.accounts + perNamespace - 1) / perNamespace }
	for _, kind := range []struct {
		what     string
		from, to int
		make     func(i int) (pair, error)
	}{
		{"namespaces", namespaces(before), namespaces(after), sp.namespaceOf},
		{"service accounts that every namespace has", namespaces(before), namespaces(after), sp.defaultOf},
		{"service accounts", before.accounts, after.accounts, sp.accountOf},
		{"pods", before.pods, after.pods, sp.podOf},
		{"revocations", before.revocations, after.revocations, sp.revocationOf},
	} {
		if kind.from == kind.to {
			continue
		}
		if _, err := fmt.Fprintf(log, "storing %d %s\n", kind.to-kind.from, kind.what); err != nil {
			return err
		}
		err := inParallel(ctx, (kind.to-kind.from+batch-1)/batch, workers, func(ctx context.Context, n int) error {
			var puts []clientv3.Op
			first := kind.from + n*batch
			for i := first; i < min(first+batch, kind.to); i++ {
				p, err := kind.make(i)
				if err != nil {
					return err
				}
				puts = append(puts, clientv3.OpPut(p.key, p.value))
			}
			_, err := client.Txn(ctx).Then(puts...).Commit()
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// writeLittle has etcd begin its log anew, so that it does not keep in memory the large transactions that filled it.
func writeLittle(ctx context.Context, client *clientv3.Client, workers int) error {
	return inParallel(ctx, littleWrites, workers, func(ctx context.Context, _ int) error {
		_, err := client.Put(ctx, "mintmark-bench", "")
		return err
	})
}

// littleWrites is more than twice as many writes as the embedded etcd makes a snapshot after.
const littleWrites = 5000

func (sp *specimens) namespaceOf(i int) (pair, error) {
	made := sp.namespace.DeepCopy()
	made.Name, made.UID = namespaceOf(i*perNamespace), newUID()
	made.Labels[corev1.LabelMetadataName] = made.Name
	return encode(made, "namespaces/"+made.Name, corev1.SchemeGroupVersion.WithKind("Namespace"))
}

// defaultOf is the account that a controller would otherwise make in a namespace.
func (sp *specimens) defaultOf(i int) (pair, error) {
	return sp.accountNamed(namespaceOf(i*perNamespace), "default")
}

func (sp *specimens) accountOf(i int) (pair, error) {
	return sp.accountNamed(namespaceOf(i), accountOf(i))
}

func (sp *specimens) accountNamed(namespace, name string) (pair, error) {
	made := sp.account.DeepCopy()
	made.Namespace, made.Name, made.UID = namespace, name, newUID()
	return encode(made, "serviceaccounts/"+made.Namespace+"/"+made.Name, corev1.SchemeGroupVersion.WithKind("ServiceAccount"))
}

func (sp *specimens) podOf(i int) (pair, error) {
	made := sp.pod.DeepCopy()
	made.Namespace, made.Name, made.UID = namespaceOf(i), podOf(i), newUID()
	made.Labels["app"] = accountOf(i)
	made.Spec.ServiceAccountName, made.Spec.DeprecatedServiceAccount, made.Spec.NodeName = accountOf(i), accountOf(i), nodeOf(i)
	return encode(made, "pods/"+made.Namespace+"/"+made.Name, corev1.SchemeGroupVersion.WithKind("Pod"))
}

func (sp *specimens) revocationOf(int) (pair, error) {
	made := sp.revocation.DeepCopy()
	made.Name, made.UID, made.Spec.CredentialID = "revocation-"+uuid.NewString(), newUID(), uuid.NewString()
	text, err := json.Marshal(made)
	return pair{storePrefix + "/tokenrevocations/" + made.Name, string(text) + "\n"}, err
}

func newUID() types.UID { return types.UID(uuid.NewString()) }

// encode returns an object in the encoding of the store, which is that of kube-apiserver's.
func encode(obj runtime.Object, key string, kind schema.GroupVersionKind) (pair, error) {
	obj.GetObjectKind().SetGroupVersionKind(kind)
	var out bytes.Buffer
	err := protobuf.NewSerializer(kubernetesscheme.Scheme, kubernetesscheme.Scheme).Encode(obj, &out)
	return pair{storePrefix + "/" + key, out.String()}, err
}
