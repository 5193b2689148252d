package controller

import (
	"context"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mintmark/mintmark/internal/view"
)

// GarbageCollector is the name of the controller that deletes objects whose owners are gone.
const GarbageCollector = "garbage-collector-controller"

// Resource is a stored resource, whose objects may have owners and be owners.
type Resource struct {
	schema.GroupVersionResource
	Kind       string
	Namespaced bool
	View       LinkView
}

// LinkView is the view of a resource as the garbage collector needs it.
type LinkView interface {
	OnChange(view.Handler)
	// Linked calls a function for each object that has owners or whose deletion waits for its dependents.
	Linked(func(view.Key, *view.Links))
	// Object reads an object from the storage.
	Object(ctx context.Context, namespace, name string) (runtime.Object, error)
}

// garbageCollector is the garbage-collector-controller. It deletes objects whose owners are gone, and finishes deletions
// that wait in the foreground for dependents or have to orphan them.
//
// The graph only tells when to look at an object. The object and its owners are then read from the storage, and a
// deletion insists on the UID and the version that was read. An object that names an owner of a kind that is not served
// is left alone: another server may have that owner.
type garbageCollector struct {
	Config
	graph *graph
	queue *loop[member]
}

func newGarbageCollector(cfg Config) func(context.Context) {
	if cfg.Metadata == nil {
		return nil
	}
	c := &garbageCollector{Config: cfg, graph: newGraph(cfg.Resources), queue: newLoop[member](cfg.Clock)}
	for _, resource := range c.graph.kinds {
		resource.View.OnChange(func(key view.Key, obj runtime.Object) { c.changed(member{resource, key}, obj) })
	}
	return func(ctx context.Context) { c.queue.run(ctx, c.linked, c.settle) }
}

// linked returns the objects that have owners or whose deletion waits for their dependents, and takes them into the graph.
func (c *garbageCollector) linked() []member {
	var linked []member
	for _, resource := range c.graph.kinds {
		resource.View.Linked(func(key view.Key, links *view.Links) {
			m := member{resource, key}
			c.graph.set(m, links)
			linked = append(linked, m)
		})
	}
	return linked
}

// changed hears of an object that was written, or deleted if obj is nil. It queues the object if something is to be done
// about it or its dependents, and owners that may have waited for it.
func (c *garbageCollector) changed(m member, obj runtime.Object) {
	var links *view.Links
	var uid types.UID
	if obj != nil {
		links = view.LinksOf(obj)
		if accessor, err := meta.Accessor(obj); err == nil {
			uid = accessor.GetUID()
		}
	}
	before := c.graph.set(m, links)
	if links != nil && !sameLinks(before, links) || c.graph.orphaned(m, uid) {
		c.queue.Add(m)
	}
	if before == nil {
		return
	}
	for _, ref := range before.Owners {
		if owner, ok := c.graph.owner(m, ref); ok && blocks(ref) && c.graph.foreground(owner) {
			c.queue.Add(owner)
		}
	}
}

func (c *garbageCollector) add(members []member) {
	for _, m := range members {
		c.queue.Add(m)
	}
}

// settle does with an object what its owners and its finalizers ask for.
func (c *garbageCollector) settle(ctx context.Context, m member) (time.Duration, error) {
	object, err := m.read(ctx)
	if apierrors.IsNotFound(err) {
		c.add(c.graph.orphans(m, ""))
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	c.add(c.graph.orphans(m, object.GetUID()))
	switch has := object.GetFinalizers(); {
	case object.GetDeletionTimestamp() == nil && len(object.GetOwnerReferences()) > 0:
		return 0, c.judge(ctx, m, object)
	case object.GetDeletionTimestamp() == nil:
		return 0, nil
	case slices.Contains(has, metav1.FinalizerOrphanDependents):
		return 0, c.orphan(ctx, m, object)
	case slices.Contains(has, metav1.FinalizerDeleteDependents):
		return 0, c.finish(ctx, m, object)
	}
	return 0, nil
}

func (m member) read(ctx context.Context) (metav1.Object, error) {
	obj, err := m.resource.View.Object(ctx, m.Namespace, m.Name)
	if err != nil {
		return nil, err
	}
	return meta.Accessor(obj)
}

// condition is the state of the owner that a reference names.
type condition int

const (
	unknown  condition = iota // its kind is not served, or it can't be looked up from where the dependent is
	dangling                  // it is not there
	waiting                   // it is being deleted and waits for its dependents
	solid                     // it is there
)

// look reads the owner that a reference in m names.
func (c *garbageCollector) look(ctx context.Context, m member, ref metav1.OwnerReference) (condition, error) {
	named, ok := c.graph.owner(m, ref)
	if !ok {
		return unknown, nil
	}
	owner, err := named.read(ctx)
	switch {
	case apierrors.IsNotFound(err):
		return dangling, nil
	case apierrors.IsBadRequest(err):
		// No object can have that name. Upstream's collector can't ask for it and leaves the dependent alone.
		return unknown, nil
	case err != nil:
		return unknown, err
	case owner.GetUID() != ref.UID:
		return dangling, nil
	case owner.GetDeletionTimestamp() != nil && slices.Contains(owner.GetFinalizers(), metav1.FinalizerDeleteDependents):
		return waiting, nil
	}
	return solid, nil
}
