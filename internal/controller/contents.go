package controller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	typedcoordinationv1 "k8s.io/client-go/kubernetes/typed/coordination/v1"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	typedrbacv1 "k8s.io/client-go/kubernetes/typed/rbac/v1"
)

// contents are the resources that live in namespaces, in the order in which they are deleted: accounts first, since all
// tokens end with them. Every namespaced resource that the server serves must be here, or its objects outlive their
// namespace.
var contents = []content{
	contentOf("serviceaccounts", func(c kubernetes.Interface, namespace string) typedcorev1.ServiceAccountInterface {
		return c.CoreV1().ServiceAccounts(namespace)
	}),
	contentOf("secrets", func(c kubernetes.Interface, namespace string) typedcorev1.SecretInterface {
		return c.CoreV1().Secrets(namespace)
	}),
	contentOf("configmaps", func(c kubernetes.Interface, namespace string) typedcorev1.ConfigMapInterface {
		return c.CoreV1().ConfigMaps(namespace)
	}),
	contentOf("pods", func(c kubernetes.Interface, namespace string) typedcorev1.PodInterface {
		return c.CoreV1().Pods(namespace)
	}),
	contentOf("leases", func(c kubernetes.Interface, namespace string) typedcoordinationv1.LeaseInterface {
		return c.CoordinationV1().Leases(namespace)
	}),
	contentOf("events", func(c kubernetes.Interface, namespace string) typedcorev1.EventInterface {
		return c.CoreV1().Events(namespace)
	}),
	contentOf("rolebindings", func(c kubernetes.Interface, namespace string) typedrbacv1.RoleBindingInterface {
		return c.RbacV1().RoleBindings(namespace)
	}),
	contentOf("roles", func(c kubernetes.Interface, namespace string) typedrbacv1.RoleInterface {
		return c.RbacV1().Roles(namespace)
	}),
}

// content is one resource in namespaces.
type content struct {
	resource string
	// remove deletes all objects of the resource in a namespace and returns the remainder. What it has listed it deletes only
	// after same, which fails if the namespace is another one by then.
	remove func(ctx context.Context, client kubernetes.Interface, namespace string, same func(context.Context) error) (remainder, error)
}

// collection is the part of a typed client that handles all objects of a namespace. L is their list.
type collection[L runtime.Object] interface {
	Delete(ctx context.Context, name string, options metav1.DeleteOptions) error
	List(ctx context.Context, list metav1.ListOptions) (L, error)
}

// remainder counts the objects of a resource that finalizers keep.
type remainder struct {
	resource   string
	count      int
	finalizers map[string]int // how many objects hold each, of the first few
}

const (
	// removedPage is how many objects are listed at a time to be deleted.
	removedPage = 500
	// remainderPage is how many objects are searched for finalizers.
	remainderPage = 100
)

func contentOf[C collection[L], L runtime.Object](resource string, in func(kubernetes.Interface, string) C) content {
	return content{resource: resource, remove: func(ctx context.Context, client kubernetes.Interface, namespace string, same func(context.Context) error) (remainder, error) {
		objects := in(client, namespace)
		left := remainder{resource: resource, finalizers: map[string]int{}}
		found, err := removeAll(ctx, objects, same)
		if err != nil {
			return remainder{}, fmt.Errorf("deleting %s: %w", resource, err)
		}
		if !found {
			return left, nil
		}
		list, err := objects.List(ctx, metav1.ListOptions{Limit: remainderPage})
		if err != nil {
			return remainder{}, fmt.Errorf("listing %s: %w", resource, err)
		}
		return left, left.add(list)
	}}
}

// removeAll deletes the objects of a namespace, and reports whether there were any. It deletes each by its UID and not
// the collection: a controller that is late must not empty a namespace that was made anew.
func removeAll[L runtime.Object](ctx context.Context, objects collection[L], same func(context.Context) error) (found bool, err error) {
	for page := (metav1.ListOptions{Limit: removedPage}); ; {
		list, err := objects.List(ctx, page)
		if err != nil {
			return found, err
		}
		items, err := meta.ExtractList(list)
		if err != nil || len(items) == 0 {
			return found, err
		}
		found = true
		if err := same(ctx); err != nil {
			return found, err
		}
		for _, item := range items {
			if err := removeOne(ctx, objects, item); err != nil {
				return found, err
			}
		}
		accessor, err := meta.ListAccessor(list)
		if err != nil || accessor.GetContinue() == "" {
			return found, err
		}
		page.Continue = accessor.GetContinue()
	}
}

func removeOne[L runtime.Object](ctx context.Context, objects collection[L], item runtime.Object) error {
	accessor, err := meta.Accessor(item)
	if err != nil {
		return err
	}
	// Pods get no grace, since no kubelet would see them through it. The policy drops the garbage collector's
	// finalizers: dependents in the namespace are deleted anyway.
	options := metav1.NewPreconditionDeleteOptions(string(accessor.GetUID()))
	options.GracePeriodSeconds, options.PropagationPolicy = new(int64), new(metav1.DeletePropagationBackground)
	if err := objects.Delete(ctx, accessor.GetName(), *options); !apierrors.IsConflict(err) {
		return ignoreNotFound(err)
	}
	return nil // it is another one by now
}

func (r *remainder) add(list runtime.Object) error {
	page, err := meta.ListAccessor(list)
	if err != nil {
		return err
	}
	if more := page.GetRemainingItemCount(); more != nil {
		r.count += int(*more)
	}
	return meta.EachListItem(list, func(obj runtime.Object) error {
		accessor, err := meta.Accessor(obj)
		if err != nil {
			return err
		}
		r.count++
		for _, finalizer := range accessor.GetFinalizers() {
			r.finalizers[finalizer]++
		}
		return nil
	})
}

// describe lists the objects that remain, in kube-controller-manager's words.
func describe(held []remainder) string {
	var parts []string
	for _, left := range held {
		parts = append(parts, fmt.Sprintf("%s. has %d resource instances", left.resource, left.count))
	}
	return "Some resources are remaining: " + strings.Join(parts, ", ")
}

// describeFinalizers lists their finalizers, in kube-controller-manager's words. It is empty if there are none.
func describeFinalizers(held []remainder) string {
	counts := map[string]int{}
	for _, left := range held {
		for finalizer, count := range left.finalizers {
			counts[finalizer] += count
		}
	}
	if len(counts) == 0 {
		return ""
	}
	var parts []string
	for _, finalizer := range slices.Sorted(maps.Keys(counts)) {
		parts = append(parts, fmt.Sprintf("%s in %d resource instances", finalizer, counts[finalizer]))
	}
	return "Some content in the namespace has finalizers remaining: " + strings.Join(parts, ", ")
}

// setConditions sets the conditions that say why a namespace remains, and reports whether they have changed.
func setConditions(status *corev1.NamespaceStatus, held []remainder, now metav1.Time) bool {
	changed := setCondition(status, now, corev1.NamespaceCondition{
		Type: corev1.NamespaceContentRemaining, Status: corev1.ConditionTrue,
		Reason: "SomeResourcesRemain", Message: describe(held),
	})
	finalizers := corev1.NamespaceCondition{
		Type: corev1.NamespaceFinalizersRemaining, Status: corev1.ConditionFalse,
		Reason: "ContentHasNoFinalizers", Message: "All content-preserving finalizers finished",
	}
	if text := describeFinalizers(held); text != "" {
		finalizers.Status, finalizers.Reason, finalizers.Message = corev1.ConditionTrue, "SomeFinalizersRemain", text
	}
	return setCondition(status, now, finalizers) || changed
}

func setCondition(status *corev1.NamespaceStatus, now metav1.Time, want corev1.NamespaceCondition) bool {
	want.LastTransitionTime = now
	for i := range status.Conditions {
		found := &status.Conditions[i]
		if found.Type != want.Type {
			continue
		}
		if found.Status == want.Status {
			want.LastTransitionTime = found.LastTransitionTime
		}
		changed := found.Status != want.Status || found.Reason != want.Reason || found.Message != want.Message
		*found = want
		return changed
	}
	status.Conditions = append(status.Conditions, want)
	return true
}
