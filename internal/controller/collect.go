package controller

import (
	"context"
	"encoding/json"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/metadata"
	"k8s.io/klog/v2"
)

// judge deletes an object that has no owner left. If it has one, references to others are cut.
func (c *garbageCollector) judge(ctx context.Context, m member, object metav1.Object) error {
	refs := object.GetOwnerReferences()
	found := map[condition][]metav1.OwnerReference{}
	for _, ref := range refs {
		state, err := c.look(ctx, m, ref)
		if err != nil || state == unknown {
			return err
		}
		found[state] = append(found[state], ref)
	}
	switch {
	case len(found[solid]) == len(refs):
		return nil
	case len(found[solid]) > 0:
		_, err := c.patch(ctx, m, object, "ownerReferences", found[solid])
		return ignoreNotFound(err)
	}
	policy := policyOf(object)
	if len(found[waiting]) > 0 {
		if dependents := c.graph.of(m, object.GetUID()); len(dependents) > 0 {
			policy = metav1.DeletePropagationForeground
			if slices.ContainsFunc(dependents, c.graph.foreground) {
				// A dependent waits already: it may be an owner of this object, too.
				var err error
				if object, err = c.unblock(ctx, m, object); err != nil {
					return ignoreNotFound(err)
				}
			}
		}
	}
	options := unchanged(object)
	options.PropagationPolicy = &policy
	if err := c.client(m).Delete(ctx, m.Name, options); err != nil {
		return ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Deleted an object whose owners are gone", "object", m, "policy", policy)
	return nil
}

// policyOf is how an object asks to be deleted.
func policyOf(object metav1.Object) metav1.DeletionPropagation {
	switch finalizers := object.GetFinalizers(); {
	case slices.Contains(finalizers, metav1.FinalizerOrphanDependents):
		return metav1.DeletePropagationOrphan
	case slices.Contains(finalizers, metav1.FinalizerDeleteDependents):
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// finish has the dependents of an object deleted that was deleted in the foreground, and lets it go once none of them
// blocks that.
func (c *garbageCollector) finish(ctx context.Context, m member, object metav1.Object) error {
	for _, dependent := range c.graph.of(m, object.GetUID()) {
		if !c.graph.foreground(dependent) {
			c.queue.Add(dependent)
		}
	}
	if len(c.graph.blocking(m, object.GetUID())) == 0 {
		return c.release(ctx, m, object, metav1.FinalizerDeleteDependents)
	}
	if c.graph.inCircle(m) {
		_, err := c.unblock(ctx, m, object)
		return ignoreNotFound(err)
	}
	return nil
}

// orphan takes an object that is being deleted out of the owners of its dependents, and then lets it go.
func (c *garbageCollector) orphan(ctx context.Context, m member, object metav1.Object) error {
	for _, dependent := range c.graph.of(m, object.GetUID()) {
		if err := c.disown(ctx, m, object.GetUID(), dependent); err != nil {
			return err
		}
	}
	return c.release(ctx, m, object, metav1.FinalizerOrphanDependents)
}

func (c *garbageCollector) disown(ctx context.Context, owner member, uid types.UID, dependent member) error {
	object, err := dependent.read(ctx)
	if err != nil {
		return ignoreNotFound(err)
	}
	refs := object.GetOwnerReferences()
	left := slices.DeleteFunc(slices.Clone(refs), func(ref metav1.OwnerReference) bool {
		named, ok := c.graph.owner(dependent, ref)
		return ok && named == owner && ref.UID == uid
	})
	if len(left) == len(refs) {
		return nil
	}
	_, err = c.patch(ctx, dependent, object, "ownerReferences", left)
	return ignoreNotFound(err)
}

// unblock has an object no longer hold up the deletion of its owners, and returns it as it is then.
func (c *garbageCollector) unblock(ctx context.Context, m member, object metav1.Object) (metav1.Object, error) {
	refs := slices.Clone(object.GetOwnerReferences())
	for i := range refs {
		if blocks(refs[i]) {
			refs[i].BlockOwnerDeletion = new(false)
		}
	}
	return c.patch(ctx, m, object, "ownerReferences", refs)
}

// release takes a finalizer away.
func (c *garbageCollector) release(ctx context.Context, m member, object metav1.Object, finalizer string) error {
	left := slices.DeleteFunc(slices.Clone(object.GetFinalizers()), func(f string) bool { return f == finalizer })
	_, err := c.patch(ctx, m, object, "finalizers", left)
	return ignoreNotFound(err)
}

// patch replaces a list in the metadata of an object, if the object is still the one that was read.
func (c *garbageCollector) patch(ctx context.Context, m member, object metav1.Object, list string, items any) (metav1.Object, error) {
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{
		"uid":             object.GetUID(),
		"resourceVersion": object.GetResourceVersion(),
		list:              items,
	}})
	if err != nil {
		return nil, err
	}
	return c.client(m).Patch(ctx, m.Name, types.MergePatchType, patch, metav1.PatchOptions{})
}

func (c *garbageCollector) client(m member) metadata.ResourceInterface {
	return c.Metadata.Resource(m.resource.GroupVersionResource).Namespace(m.Namespace)
}
