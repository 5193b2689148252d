package controller

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/client-go/tools/cache"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/view"
)

// cluster is a small API server in memory: versions, UIDs, preconditions, finalizers, graceful deletion, and the views
// of the index in front of the storage. It does no network, so it can live in a bubble of testing/synctest.
type cluster struct {
	*fake.Clientset
	index *boundobject.Index
	roles *authz.Index
	maps  *view.View[ConfigMap]
	// requests are the certificate signing requests.
	requests *view.View[certificates.Record]
	logger   klog.Logger // silent by default

	mu      sync.Mutex
	version int
	stores  map[string]storage.Interface
	kinds   map[string]kind
	// before, if any, may refuse a request.
	before  func(clienttesting.Action) error
	actions []string
}

type kind struct{ object, list runtime.Object }

func newCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{
		Clientset: &fake.Clientset{}, index: boundobject.NewIndex(), roles: authz.NewIndex(), maps: NewConfigMaps(),
		requests: view.New(certificatesv1.Resource("certificatesigningrequests"), true, certificates.RecordOf), stores: map[string]storage.Interface{},
		kinds: map[string]kind{
			"namespaces":      {&corev1.Namespace{}, &corev1.NamespaceList{}},
			"serviceaccounts": {&corev1.ServiceAccount{}, &corev1.ServiceAccountList{}},
			"secrets":         {&corev1.Secret{}, &corev1.SecretList{}},
			"configmaps":      {&corev1.ConfigMap{}, &corev1.ConfigMapList{}},
			"events":          {&corev1.Event{}, &corev1.EventList{}},
			"leases":          {&coordinationv1.Lease{}, &coordinationv1.LeaseList{}},
			"pods":            {&corev1.Pod{}, &corev1.PodList{}},
			"roles":           {&rbacv1.Role{}, &rbacv1.RoleList{}},
			"rolebindings":    {&rbacv1.RoleBinding{}, &rbacv1.RoleBindingList{}},
			"clusterroles":    {&rbacv1.ClusterRole{}, &rbacv1.ClusterRoleList{}},
			"nodes":           {&corev1.Node{}, &corev1.NodeList{}},

			"certificatesigningrequests": {&certificatesv1.CertificateSigningRequest{}, &certificatesv1.CertificateSigningRequestList{}},
		},
	}
	for resource, decorate := range map[string]func(generic.StorageDecorator) generic.StorageDecorator{
		"namespaces":      c.index.Namespaces.Decorate,
		"serviceaccounts": c.index.ServiceAccounts.Decorate,
		"secrets":         c.index.Secrets.Decorate,
		"pods":            c.index.Pods.Decorate,
		"configmaps":      c.maps.Decorate,
		"roles":           c.roles.Roles.Decorate,
		"rolebindings":    c.roles.RoleBindings.Decorate,
		"clusterroles":    c.roles.ClusterRoles.Decorate,
		"nodes":           c.index.Nodes.Decorate,

		"certificatesigningrequests": c.requests.Decorate,
	} {
		c.stores[resource] = decorated(t, c.kinds[resource], resource, decorate)
	}
	c.AddReactor("*", "*", c.serve)
	return c
}

func decorated(t *testing.T, k kind, resource string, decorate func(generic.StorageDecorator) generic.StorageDecorator) storage.Interface {
	t.Helper()
	next := func(*storagebackend.ConfigForResource, string, func(runtime.Object) (string, error), func() runtime.Object,
		func() runtime.Object, storage.AttrFunc, storage.IndexerFuncs, *cache.Indexers,
	) (storage.Interface, factory.DestroyFunc, error) {
		return &memory{objects: map[string]runtime.Object{}}, func() {}, nil
	}
	stored, _, err := decorate(next)(&storagebackend.ConfigForResource{}, "/"+resource, nil, k.object.DeepCopyObject, k.list.DeepCopyObject, nil, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return stored
}

// run runs controllers until the test, or what stop returns, ends them.
func (c *cluster) run(t *testing.T, cfg Config, names ...string) (stop func()) {
	t.Helper()
	cfg.Client, cfg.Index, cfg.Roles, cfg.ConfigMaps, cfg.Controllers = c, c.index, c.roles, c.maps, sets.New(names...)
	for _, view := range []LinkView{c.index.ServiceAccounts, c.index.Secrets, c.maps, c.index.Pods, c.roles.Roles, c.roles.RoleBindings} {
		cfg.Resources = append(cfg.Resources, Resource{Namespaced: true, View: view})
	}
	ctx, cancel := context.WithCancel(klog.NewContext(context.Background(), c.logger))
	controllers, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() { controllers.Run(ctx); close(done) }()
	stop = sync.OnceFunc(func() {
		cancel()
		<-done
	})
	t.Cleanup(stop)
	return stop
}

// did counts the requests of a kind, such as "create serviceaccounts".
func (c *cluster) did(what string) (n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, action := range c.actions {
		if action == what {
			n++
		}
	}
	return n
}

func (c *cluster) serve(action clienttesting.Action) (bool, runtime.Object, error) {
	c.mu.Lock()
	before := c.before
	c.actions = append(c.actions, strings.TrimSuffix(action.GetVerb()+" "+action.GetResource().Resource+"/"+action.GetSubresource(), "/"))
	c.mu.Unlock()
	if before != nil {
		if err := before(action); err != nil {
			return true, nil, err
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	resource, namespace := action.GetResource().Resource, action.GetNamespace()
	var obj runtime.Object
	var err error
	switch a := action.(type) {
	case clienttesting.CreateActionImpl:
		if a.Subresource == "finalize" {
			obj, err = c.update(resource, "", a.Object)
			break
		}
		obj, err = c.create(resource, namespace, a.Object)
	case clienttesting.UpdateActionImpl:
		obj, err = c.update(resource, namespace, a.Object)
	case clienttesting.DeleteActionImpl:
		obj, err = c.delete(resource, namespace, a.Name, a.DeleteOptions)
	case clienttesting.GetActionImpl:
		obj, err = c.get(resource, namespace, a.Name)
	case clienttesting.ListActionImpl:
		obj, err = c.list(resource, namespace)
	case clienttesting.DeleteCollectionActionImpl:
		for _, item := range c.all(resource, namespace) {
			if _, err := c.delete(resource, namespace, item.GetName(), a.DeleteOptions); err != nil {
				return true, nil, err
			}
		}
	default:
		err = fmt.Errorf("the test cluster can't %T", action)
	}
	return true, obj, err
}

func storageKey(resource, namespace, name string) string {
	if namespace == "" {
		return "/" + resource + "/" + name
	}
	return "/" + resource + "/" + namespace + "/" + name
}

func (c *cluster) create(resource, namespace string, obj runtime.Object) (runtime.Object, error) {
	c.version++
	accessor := object(obj)
	accessor.SetNamespace(namespace)
	if accessor.GetUID() == "" {
		accessor.SetUID(types.UID("uid-" + strconv.Itoa(c.version)))
	}
	if created := accessor.GetCreationTimestamp(); created.IsZero() {
		accessor.SetCreationTimestamp(metav1.Now())
	}
	accessor.SetResourceVersion(strconv.Itoa(c.version))
	key := storageKey(resource, namespace, accessor.GetName())
	out := c.kinds[resource].object.DeepCopyObject()
	if err := c.stores[resource].Create(context.Background(), key, obj, out, 0); err != nil {
		return nil, apierrors.NewAlreadyExists(corev1.Resource(resource), accessor.GetName())
	}
	return out, nil
}

func (c *cluster) get(resource, namespace, name string) (runtime.Object, error) {
	out := c.kinds[resource].object.DeepCopyObject()
	if err := c.stores[resource].Get(context.Background(), storageKey(resource, namespace, name), storage.GetOptions{}, out); err != nil {
		return nil, apierrors.NewNotFound(corev1.Resource(resource), name)
	}
	return out, nil
}

func (c *cluster) update(resource, namespace string, obj runtime.Object) (runtime.Object, error) {
	accessor := object(obj)
	found, err := c.get(resource, namespace, accessor.GetName())
	if err != nil {
		return nil, err
	}
	if version := accessor.GetResourceVersion(); version != "" && version != object(found).GetResourceVersion() {
		return nil, apierrors.NewConflict(corev1.Resource(resource), accessor.GetName(), errors.New("the object has been modified"))
	}
	accessor.SetDeletionTimestamp(object(found).GetDeletionTimestamp())
	if namespace, ok := obj.(*corev1.Namespace); ok && len(namespace.Spec.Finalizers) > 0 || len(accessor.GetFinalizers()) > 0 ||
		accessor.GetDeletionTimestamp() == nil || resource == "pods" {
		return c.put(resource, obj)
	}
	return c.drop(resource, obj)
}

func (c *cluster) delete(resource, namespace, name string, options metav1.DeleteOptions) (runtime.Object, error) {
	obj, err := c.get(resource, namespace, name)
	if err != nil {
		return nil, err
	}
	accessor := object(obj)
	if want := options.Preconditions; want != nil && (want.UID != nil && *want.UID != accessor.GetUID() ||
		want.ResourceVersion != nil && *want.ResourceVersion != accessor.GetResourceVersion()) {
		return nil, apierrors.NewConflict(corev1.Resource(resource), name, errors.New("the precondition fails"))
	}
	var grace int64
	pod, graceful := obj.(*corev1.Pod)
	if graceful = graceful && pod.Spec.NodeName != ""; graceful && options.GracePeriodSeconds != nil {
		grace = *options.GracePeriodSeconds
	} else if graceful {
		grace = *pod.Spec.TerminationGracePeriodSeconds
	}
	namespaceObj, ok := obj.(*corev1.Namespace)
	if held := ok && len(namespaceObj.Spec.Finalizers) > 0; !held && grace == 0 && len(accessor.GetFinalizers()) == 0 {
		return c.drop(resource, obj)
	}
	if accessor.GetDeletionTimestamp() != nil && grace >= *accessor.GetDeletionGracePeriodSeconds() {
		return obj, nil
	}
	end := metav1.NewTime(metav1.Now().Add(time.Duration(grace) * time.Second))
	accessor.SetDeletionTimestamp(&end)
	accessor.SetDeletionGracePeriodSeconds(&grace)
	if ok {
		namespaceObj.Status.Phase = corev1.NamespaceTerminating
	}
	return c.put(resource, obj)
}

func (c *cluster) put(resource string, obj runtime.Object) (runtime.Object, error) {
	c.version++
	accessor := object(obj)
	accessor.SetResourceVersion(strconv.Itoa(c.version))
	out := c.kinds[resource].object.DeepCopyObject()
	return out, c.stores[resource].GuaranteedUpdate(context.Background(),
		storageKey(resource, accessor.GetNamespace(), accessor.GetName()), out, false, nil, nil, obj)
}

func (c *cluster) drop(resource string, obj runtime.Object) (runtime.Object, error) {
	c.version++
	accessor := object(obj)
	accessor.SetResourceVersion(strconv.Itoa(c.version))
	return obj, c.stores[resource].Delete(context.Background(),
		storageKey(resource, accessor.GetNamespace(), accessor.GetName()), obj, nil, nil, nil, storage.DeleteOptions{})
}

func (c *cluster) all(resource, namespace string) (found []metav1.Object) {
	var keys []view.Key
	switch resource {
	case "serviceaccounts":
		keys = c.index.ServiceAccounts.Keys(func(view.Key, boundobject.ServiceAccount) bool { return true })
	case "secrets":
		keys = c.index.Secrets.Keys(func(view.Key, boundobject.Secret) bool { return true })
	case "pods":
		keys = c.index.Pods.Keys(func(view.Key, boundobject.Pod) bool { return true })
	case "configmaps":
		keys = c.maps.Keys(func(view.Key, ConfigMap) bool { return true })
	}
	for _, key := range keys {
		if namespace == metav1.NamespaceAll || key.Namespace == namespace {
			obj, err := c.get(resource, key.Namespace, key.Name)
			if err != nil {
				panic(err)
			}
			found = append(found, object(obj))
		}
	}
	slices.SortFunc(found, func(a, b metav1.Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return found
}

func (c *cluster) list(resource, namespace string) (runtime.Object, error) {
	var items []runtime.Object
	for _, item := range c.all(resource, namespace) {
		items = append(items, item.(runtime.Object))
	}
	list := c.kinds[resource].list.DeepCopyObject()
	return list, meta.SetList(list, items)
}

func object(obj runtime.Object) metav1.Object {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		panic(err)
	}
	return accessor
}

// memory is a storage that takes objects as they are; versions are the cluster's affair.
type memory struct {
	storage.Interface
	mu      sync.Mutex
	objects map[string]runtime.Object
}

func (m *memory) Create(_ context.Context, key string, obj, out runtime.Object, _ uint64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, exists := m.objects[key]; exists {
		return storage.NewKeyExistsError(key, 0)
	}
	m.objects[key] = obj.DeepCopyObject()
	assign(out, obj)
	return nil
}

func (m *memory) Get(_ context.Context, key string, _ storage.GetOptions, out runtime.Object) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	obj, exists := m.objects[key]
	if !exists {
		return storage.NewKeyNotFoundError(key, 0)
	}
	assign(out, obj)
	return nil
}

// GuaranteedUpdate stores the object that is given as the cached one.
func (m *memory) GuaranteedUpdate(_ context.Context, key string, out runtime.Object, _ bool, _ *storage.Preconditions,
	_ storage.UpdateFunc, obj runtime.Object,
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.objects[key] = obj.DeepCopyObject()
	assign(out, obj)
	return nil
}

func (m *memory) Delete(_ context.Context, key string, _ runtime.Object, _ *storage.Preconditions,
	_ storage.ValidateObjectFunc, _ runtime.Object, _ storage.DeleteOptions,
) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.objects, key)
	return nil
}

func assign(out, obj runtime.Object) {
	reflect.ValueOf(out).Elem().Set(reflect.ValueOf(obj.DeepCopyObject()).Elem())
}
