// Package teststore gives a test a live index over an etcd of its own, without the server around it. Only tests import
// it.
package teststore

import (
	"context"
	"path"
	"reflect"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/scheme"
)

// Store holds objects as the server does: what is written through it is in its index at once.
type Store struct {
	// Index holds the views of the store. They follow the writes of this Store only, since none of them is run.
	Index *boundobject.Index

	t        testing.TB
	endpoint string
	kinds    map[reflect.Type]kind
}

// kind is where objects of a type are stored.
type kind struct {
	storage.Interface
	resource string
	empty    func() runtime.Object
}

// New starts an etcd, which ends with the test, and returns an empty store.
func New(t testing.TB) *Store {
	t.Helper()
	member, err := etcd.Start(context.Background(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	return open(t, member.Endpoint())
}

// Replica is another server's store over the same etcd: its views don't follow the writes of this Store.
func (s *Store) Replica() *Store {
	s.t.Helper()
	return open(s.t, s.endpoint)
}

func open(t testing.TB, endpoint string) *Store {
	t.Helper()
	x := boundobject.NewIndex()
	s := &Store{Index: x, t: t, endpoint: endpoint, kinds: map[reflect.Type]kind{}}
	s.add(x.Namespaces, &corev1.Namespace{}, &corev1.NamespaceList{})
	s.add(x.ServiceAccounts, &corev1.ServiceAccount{}, &corev1.ServiceAccountList{})
	s.add(x.Secrets, &corev1.Secret{}, &corev1.SecretList{})
	s.add(x.Pods, &corev1.Pod{}, &corev1.PodList{})
	s.add(x.Nodes, &corev1.Node{}, &corev1.NodeList{})
	return s
}

func (s *Store) add(view interface {
	Resource() schema.GroupResource
	Decorate(generic.StorageDecorator) generic.StorageDecorator
}, one, many runtime.Object,
) {
	s.t.Helper()
	config := storagebackend.NewDefaultConfig("/test", scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion))
	config.Transport.ServerList = []string{s.endpoint}
	resource := view.Resource()
	stored, destroy, err := view.Decorate(generic.UndecoratedStorage)(config.ForResource(resource), "/"+resource.Resource,
		nil, one.DeepCopyObject, many.DeepCopyObject, nil, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(destroy)
	s.kinds[reflect.TypeOf(one)] = kind{Interface: stored, resource: resource.Resource, empty: one.DeepCopyObject}
}

// Put stores objects, in place of those of the same names.
func (s *Store) Put(objects ...runtime.Object) {
	s.t.Helper()
	for _, obj := range objects {
		stored, key := s.find(obj)
		update := storage.SimpleUpdate(func(runtime.Object) (runtime.Object, error) { return obj.DeepCopyObject(), nil })
		if err := stored.GuaranteedUpdate(context.Background(), key, stored.empty(), true, nil, update, nil); err != nil {
			s.t.Fatal(err)
		}
	}
}

// Delete removes objects, whatever they look like now.
func (s *Store) Delete(objects ...runtime.Object) {
	s.t.Helper()
	for _, obj := range objects {
		stored, key := s.find(obj)
		if err := stored.Delete(context.Background(), key, stored.empty(), nil, storage.ValidateAllObjectFunc, nil, storage.DeleteOptions{}); err != nil {
			s.t.Fatal(err)
		}
	}
}

// find returns the storage of an object and its key there.
func (s *Store) find(obj runtime.Object) (kind, string) {
	s.t.Helper()
	stored, ok := s.kinds[reflect.TypeOf(obj)]
	if !ok {
		s.t.Fatalf("the index has no view of a %T", obj)
	}
	accessor, err := meta.Accessor(obj)
	if err != nil {
		s.t.Fatal(err)
	}
	return stored, path.Join("/", stored.resource, accessor.GetNamespace(), accessor.GetName())
}

// Account is a service account for a test.
func Account(namespace, name string, uid types.UID) *corev1.ServiceAccount {
	account := &corev1.ServiceAccount{}
	account.Namespace, account.Name, account.UID = namespace, name, uid
	return account
}
