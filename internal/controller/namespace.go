package controller

import (
	"context"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// namespaceController is the namespace-controller. Its keys are names of namespaces.
type namespaceController struct {
	Config
	queue *loop[string]

	mu          sync.Mutex
	terminating sets.Set[string] // namespaces that are being deleted
}

func newNamespaceController(cfg Config) func(context.Context) {
	c := &namespaceController{Config: cfg, queue: newLoop[string](cfg.Clock), terminating: sets.New[string]()}
	cfg.Index.Namespaces.OnChange(func(key view.Key, obj runtime.Object) {
		if namespace, ok := obj.(*corev1.Namespace); ok && namespace.DeletionTimestamp != nil {
			c.track(key.Name)
			c.queue.Add(key.Name)
		}
	})
	for _, resource := range cfg.Resources {
		if resource.Namespaced {
			resource.View.OnChange(c.left)
		}
	}
	return func(ctx context.Context) { c.queue.run(ctx, c.deleted, c.empty) }
}

// deleted returns the names of the namespaces that are being deleted, and tracks them.
func (c *namespaceController) deleted() []string {
	var names []string
	for _, key := range c.Index.Namespaces.Keys(func(_ view.Key, namespace boundobject.Namespace) bool {
		return !namespace.Deletion.IsZero()
	}) {
		c.track(key.Name)
		names = append(names, key.Name)
	}
	return names
}

// left queues the namespace of an object that is gone, since it may have been the last one.
func (c *namespaceController) left(key view.Key, obj runtime.Object) {
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

// empty deletes the objects in a namespace and then finalizes the namespace.
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
	var held []remainder
	for _, content := range contents {
		left, err := content.remove(ctx, c.Client, name, func(ctx context.Context) error { return c.same(ctx, namespace) })
		if err != nil {
			return 0, err
		}
		if left.count > 0 {
			held = append(held, left)
		}
	}
	if len(held) > 0 {
		return 0, c.tell(ctx, namespace, held)
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

// same returns an error if a namespace is gone by now, even if there is another one of its name.
func (c *namespaceController) same(ctx context.Context, namespace *corev1.Namespace) error {
	obj, err := c.Index.Namespaces.Object(ctx, "", namespace.Name)
	switch {
	case apierrors.IsNotFound(err), err == nil && obj.(*corev1.Namespace).UID != namespace.UID:
		return pending("the namespace is gone")
	}
	return err
}

// tell writes into the status of a namespace why it remains. The key is then pending.
func (c *namespaceController) tell(ctx context.Context, namespace *corev1.Namespace, held []remainder) error {
	waiting := pending(describe(held))
	if !setConditions(&namespace.Status, held, metav1.NewTime(c.Now())) {
		return waiting
	}
	if _, err := c.Client.CoreV1().Namespaces().UpdateStatus(ctx, namespace, metav1.UpdateOptions{}); err != nil {
		return ignoreNotFound(err)
	}
	return waiting
}
