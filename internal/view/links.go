package view

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// Links is the part of an object's metadata that garbage collection goes by.
type Links struct {
	Owners []metav1.OwnerReference
	// Foreground says that the object is being deleted and waits for its dependents.
	Foreground bool
	// Orphan says that the object is being deleted and waits until its dependents are orphaned.
	Orphan bool
}

// LinksOf returns the links of an object. They are nil if it has no owners and waits for nothing.
func LinksOf(obj runtime.Object) *Links {
	accessor, err := meta.Accessor(obj)
	if err != nil {
		return nil
	}
	links := Links{Owners: slices.Clone(accessor.GetOwnerReferences())}
	if accessor.GetDeletionTimestamp() != nil {
		links.Foreground = slices.Contains(accessor.GetFinalizers(), metav1.FinalizerDeleteDependents)
		links.Orphan = slices.Contains(accessor.GetFinalizers(), metav1.FinalizerOrphanDependents)
	}
	if len(links.Owners) == 0 && !links.Foreground && !links.Orphan {
		return nil
	}
	return &links
}

// Linked calls each with the links of every object that has any, in no order. each must return quickly and must not use
// the view.
func (v *View[T]) Linked(each func(Key, *Links)) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	for key, e := range v.objects.all() {
		if e.links != nil {
			each(key, e.links)
		}
	}
}

// HasLinks reports whether the view keeps links at all.
func (v *View[T]) HasLinks() bool { return v.objects.packed == nil }
