package controller

import (
	"slices"
	"strings"
	"sync"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/view"
)

// member is an object in the graph of owners and dependents.
type member struct {
	resource *Resource
	view.Key
}

// String names the object in logs.
func (m member) String() string {
	return strings.TrimPrefix(m.resource.GroupResource().String()+" "+m.Namespace+"/"+m.Name, "/")
}

// graph says which objects name which object as their owner. It holds only objects with links: those that have owners,
// or whose deletion waits for their dependents.
type graph struct {
	kinds map[schema.GroupVersionKind]*Resource

	mu         sync.Mutex
	links      map[member]*view.Links
	dependents map[member]map[types.UID]sets.Set[member] // by owner, and by the UID under which they name it
}

func newGraph(resources []Resource) *graph {
	g := &graph{
		kinds:      map[schema.GroupVersionKind]*Resource{},
		links:      map[member]*view.Links{},
		dependents: map[member]map[types.UID]sets.Set[member]{},
	}
	for i := range resources {
		g.kinds[resources[i].GroupVersion().WithKind(resources[i].Kind)] = &resources[i]
	}
	return g
}

// owner returns the object that a reference in m names. It is not known if its kind is not served in that version, or if
// it lives in a namespace and m does not.
func (g *graph) owner(m member, ref metav1.OwnerReference) (member, bool) {
	resource, ok := g.kinds[schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind)]
	switch {
	case !ok:
		return member{}, false
	case !resource.Namespaced:
		return member{resource, view.Key{Name: ref.Name}}, true
	}
	return member{resource, view.Key{Namespace: m.Namespace, Name: ref.Name}}, m.Namespace != ""
}

// set takes in the links of an object, nil for none, and returns those that it had.
func (g *graph) set(m member, links *view.Links) (before *view.Links) {
	g.mu.Lock()
	defer g.mu.Unlock()
	before = g.links[m]
	if before != nil {
		for _, ref := range before.Owners {
			if owner, ok := g.owner(m, ref); ok {
				g.unlink(m, owner, ref.UID)
			}
		}
		delete(g.links, m)
	}
	if links == nil {
		return before
	}
	g.links[m] = links
	for _, ref := range links.Owners {
		if owner, ok := g.owner(m, ref); ok {
			g.link(m, owner, ref.UID)
		}
	}
	return before
}

// link adds a dependent. The lock is held.
func (g *graph) link(m, owner member, uid types.UID) {
	if g.dependents[owner] == nil {
		g.dependents[owner] = map[types.UID]sets.Set[member]{}
	}
	if g.dependents[owner][uid] == nil {
		g.dependents[owner][uid] = sets.New[member]()
	}
	g.dependents[owner][uid].Insert(m)
}

// unlink takes a dependent away. The lock is held.
func (g *graph) unlink(m, owner member, uid types.UID) {
	g.dependents[owner][uid].Delete(m)
	if len(g.dependents[owner][uid]) == 0 {
		delete(g.dependents[owner], uid)
	}
	if len(g.dependents[owner]) == 0 {
		delete(g.dependents, owner)
	}
}

// of returns the dependents of an object.
func (g *graph) of(owner member, uid types.UID) []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.dependents[owner][uid].UnsortedList()
}

// blocking returns the dependents of an object for which its deletion in the foreground waits.
func (g *graph) blocking(owner member, uid types.UID) []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.blockingLocked(owner, uid)
}

// blockingLocked is blocking with the lock held.
func (g *graph) blockingLocked(owner member, uid types.UID) []member {
	var found []member
	for m := range g.dependents[owner][uid] {
		if slices.ContainsFunc(g.links[m].Owners, func(ref metav1.OwnerReference) bool {
			named, ok := g.owner(m, ref)
			return ok && named == owner && ref.UID == uid && blocks(ref)
		}) {
			found = append(found, m)
		}
	}
	return found
}

// orphaned reports whether there are objects that name an owner under another UID than that of the object which is there
// now, empty if none is.
func (g *graph) orphaned(owner member, uid types.UID) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	for named := range g.dependents[owner] {
		if named != uid {
			return true
		}
	}
	return false
}

// orphans returns these objects.
func (g *graph) orphans(owner member, uid types.UID) []member {
	g.mu.Lock()
	defer g.mu.Unlock()
	var found []member
	for named, dependents := range g.dependents[owner] {
		if named != uid {
			found = append(found, dependents.UnsortedList()...)
		}
	}
	return found
}

// foreground reports whether an object is being deleted and waits for its dependents.
func (g *graph) foreground(m member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.waits(m)
}

// waits is foreground with the lock held.
func (g *graph) waits(m member) bool {
	links := g.links[m]
	return links != nil && links.Foreground
}

// inCircle reports whether an object that is deleted in the foreground waits for itself, be it by way of others.
func (g *graph) inCircle(start member) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	seen := sets.New[member]()
	for todo := []member{start}; len(todo) > 0; todo = todo[1:] {
		for uid := range g.dependents[todo[0]] {
			for _, m := range g.blockingLocked(todo[0], uid) {
				if m == start {
					return true
				}
				if g.waits(m) && !seen.Has(m) {
					seen.Insert(m)
					todo = append(todo, m)
				}
			}
		}
	}
	return false
}

func blocks(ref metav1.OwnerReference) bool { return ptr.Deref(ref.BlockOwnerDeletion, false) }

// sameLinks reports whether nothing has changed that garbage collection goes by.
func sameLinks(a, b *view.Links) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Foreground == b.Foreground && a.Orphan == b.Orphan &&
		slices.EqualFunc(a.Owners, b.Owners, func(a, b metav1.OwnerReference) bool {
			return a.APIVersion == b.APIVersion && a.Kind == b.Kind && a.Name == b.Name && a.UID == b.UID && blocks(a) == blocks(b)
		})
}
