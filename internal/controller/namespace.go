package controller

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/kubernetes"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/informer"
)

// contents are the resources that live in namespaces, in the order in which they are deleted: accounts first, since all
// tokens end with them. Whatever namespaced resource the server serves must be here, or it outlives its namespace.
var contents = []content{
	contentOf("serviceaccounts", func(c kubernetes.Interface, namespace string) typedcorev1.ServiceAccountInterface {
		return c.CoreV1().ServiceAccounts(namespace)
	}),
	contentOf("secrets", func(c kubernetes.Interface, namespace string) typedcorev1.SecretInterface {
		return c.CoreV1().Secrets(namespace)
	}),
	contentOf("pods", func(c kubernetes.Interface, namespace string) typedcorev1.PodInterface {
		return c.CoreV1().Pods(namespace)
	}),
}

// content is one resource in namespaces.
type content struct {
	resource string
	// remove deletes all objects of the resource in a namespace and reports whether some are still there.
	remove func(ctx context.Context, client kubernetes.Interface, namespace string) (left bool, err error)
}

// collection is what any typed client of a resource can do with all objects of a namespace; L is their list.
type collection[L runtime.Object] interface {
	DeleteCollection(ctx context.Context, options metav1.DeleteOptions, list metav1.ListOptions) error
	List(ctx context.Context, list metav1.ListOptions) (L, error)
}

func contentOf[C collection[L], L runtime.Object](resource string, in func(kubernetes.Interface, string) C) content {
	return content{resource: resource, remove: func(ctx context.Context, client kubernetes.Interface, namespace string) (bool, error) {
		objects := in(client, namespace)
		// Without grace: there is no kubelet that would see pods through theirs.
		if err := objects.DeleteCollection(ctx, metav1.DeleteOptions{GracePeriodSeconds: new(int64)}, metav1.ListOptions{}); err != nil {
			return false, fmt.Errorf("deleting %s: %w", resource, err)
		}
		list, err := objects.List(ctx, metav1.ListOptions{Limit: 1})
		if err != nil {
			return false, fmt.Errorf("listing %s: %w", resource, err)
		}
		return meta.LenList(list) > 0, nil
	}}
}

// namespaceController is the namespace-controller. Its keys are names of namespaces.
type namespaceController struct {
	*Config
	queue loop[string]

	mu          sync.Mutex
	terminating sets.Set[string] // namespaces that are being deleted
}

func newNamespaceController(cfg *Config) func(context.Context) {
	c := &namespaceController{Config: cfg, queue: newLoop[string](), terminating: sets.New[string]()}
	cfg.Index.Namespaces.OnChange(func(key informer.Key, obj runtime.Object) {
		if namespace, ok := obj.(*corev1.Namespace); ok && namespace.DeletionTimestamp != nil {
			c.track(key.Name)
			c.queue.Add(key.Name)
		}
	})
	cfg.Index.ServiceAccounts.OnChange(c.left)
	cfg.Index.Secrets.OnChange(c.left)
	cfg.Index.Pods.OnChange(c.left)
	return func(ctx context.Context) {
		var names []string
		for _, key := range cfg.Index.Namespaces.Keys(func(_ informer.Key, namespace boundobject.Namespace) bool {
			return !namespace.Deletion.IsZero()
		}) {
			c.track(key.Name)
			names = append(names, key.Name)
		}
		c.queue.run(ctx, names, c.empty)
	}
}

// left hears of objects that are gone: one that held up its namespace may have been the last.
func (c *namespaceController) left(key informer.Key, obj runtime.Object) {
	if obj != nil {
		return
	}
	c.mu.Lock()
	waited := c.terminating.Has(key.Namespace)
	c.mu.Unlock()
	if waited {
		c.queue.Add(key.Namespace)
	}
}

func (c *namespaceController) track(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminating.Insert(name)
}

func (c *namespaceController) untrack(name string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.terminating.Delete(name)
}

// empty deletes what a namespace holds and then gives the namespace itself free.
func (c *namespaceController) empty(ctx context.Context, name string) (time.Duration, error) {
	obj, err := c.Index.Namespaces.Object(ctx, "", name)
	if err != nil {
		if err = ignoreNotFound(err); err == nil {
			c.untrack(name)
		}
		return 0, err
	}
	namespace := obj.(*corev1.Namespace)
	if namespace.DeletionTimestamp == nil || !slices.Contains(namespace.Spec.Finalizers, corev1.FinalizerKubernetes) {
		c.untrack(name)
		return 0, nil
	}
	var held []string
	for _, content := range contents {
		left, err := content.remove(ctx, c.Client, name)
		if err != nil {
			return 0, err
		}
		if left {
			held = append(held, content.resource)
		}
	}
	if len(held) > 0 {
		return 0, pending(fmt.Sprintf("the namespace still holds %v", held))
	}
	namespace.Spec.Finalizers = slices.DeleteFunc(namespace.Spec.Finalizers, func(f corev1.FinalizerName) bool {
		return f == corev1.FinalizerKubernetes
	})
	if _, err := c.Client.CoreV1().Namespaces().Finalize(ctx, namespace, metav1.UpdateOptions{}); err != nil {
		return 0, ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Emptied a namespace that is being deleted", "namespace", name)
	return 0, nil
}
