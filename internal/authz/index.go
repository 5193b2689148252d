package authz

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/mintmark/mintmark/internal/view"
)

// Index is the live index of roles and bindings. The views tell it of every change before the write that made it is
// acknowledged, so no decision is older than what a client has been told.
//
// Bindings are found by subject and namespace, and all bindings of a subject to the same role count as one. So the cost of
// a decision depends on how many roles the caller has in the namespace, not on how many bindings exist.
type Index struct {
	Roles               *view.View[struct{}]
	RoleBindings        *view.View[struct{}]
	ClusterRoles        *view.View[struct{}]
	ClusterRoleBindings *view.View[struct{}]

	mu          sync.RWMutex
	roles       map[view.Key]*role
	bindings    map[view.Key]*binding
	byNamespace map[string]grantTable // by namespace; "" holds cluster role bindings
}

// role is the record of a role or a cluster role. It is replaced and never changed.
type role struct {
	meta        metav1.ObjectMeta
	aggregation *rbacv1.AggregationRule
	rules       []rule
}

// binding is the record of a role binding or a cluster role binding. It is replaced; only reasons are ever changed.
type binding struct {
	meta     metav1.ObjectMeta
	ref      rbacv1.RoleRef
	subjects []rbacv1.Subject
	// reasons say, for each subject, why the binding allows something. They are nil until they are first used.
	reasons []atomic.Pointer[string]
}

// grantTable holds the grants of each subject, sorted by the first binding.
type grantTable map[subject][]grant

// subject is a user or a group. A service account is a user.
type subject struct {
	group bool
	name  string
}

// grant is a role that a subject has, and the bindings that give it, sorted by name.
type grant struct {
	role     view.Key
	bindings []*binding
}

// NewIndex returns an empty index. Its views follow the storage once they are decorated and run.
func NewIndex() *Index {
	nothing := func(runtime.Object) struct{} { return struct{}{} }
	x := &Index{
		Roles:               view.New(rbacv1.Resource("roles"), false, nothing),
		RoleBindings:        view.New(rbacv1.Resource("rolebindings"), false, nothing),
		ClusterRoles:        view.New(rbacv1.Resource("clusterroles"), true, nothing),
		ClusterRoleBindings: view.New(rbacv1.Resource("clusterrolebindings"), true, nothing),

		roles:       map[view.Key]*role{},
		bindings:    map[view.Key]*binding{},
		byNamespace: map[string]grantTable{},
	}
	x.Roles.OnChange(x.roleChanged)
	x.ClusterRoles.OnChange(x.roleChanged)
	x.RoleBindings.OnChange(x.bindingChanged)
	x.ClusterRoleBindings.OnChange(x.bindingChanged)
	return x
}

func (x *Index) roleChanged(key view.Key, obj runtime.Object) {
	var now *role
	switch obj := obj.(type) {
	case *rbacv1.Role:
		now = &role{meta: trim(&obj.ObjectMeta), rules: compile(obj.Rules)}
	case *rbacv1.ClusterRole:
		now = &role{meta: trim(&obj.ObjectMeta), rules: compile(obj.Rules), aggregation: obj.AggregationRule.DeepCopy()}
		now.meta.ResourceVersion = obj.ResourceVersion
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if now == nil {
		delete(x.roles, key)
		return
	}
	x.roles[key] = now
}

func (x *Index) bindingChanged(key view.Key, obj runtime.Object) {
	var now *binding
	switch obj := obj.(type) {
	case *rbacv1.RoleBinding:
		now = newBindingRecord(&obj.ObjectMeta, obj.RoleRef, obj.Subjects)
	case *rbacv1.ClusterRoleBinding:
		now = newBindingRecord(&obj.ObjectMeta, obj.RoleRef, obj.Subjects)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if old := x.bindings[key]; old != nil {
		x.unbind(old)
		delete(x.bindings, key)
	}
	if now != nil {
		x.bindings[key] = now
		x.bind(now)
	}
}

func newBindingRecord(meta *metav1.ObjectMeta, ref rbacv1.RoleRef, subjects []rbacv1.Subject) *binding {
	return &binding{meta: trim(meta), ref: ref, subjects: slices.Clone(subjects), reasons: make([]atomic.Pointer[string], len(subjects))}
}

// trim returns the part of an object's metadata that decisions, the bootstrap and the aggregation need.
func trim(meta *metav1.ObjectMeta) metav1.ObjectMeta {
	trimmed := metav1.ObjectMeta{Name: meta.Name, Namespace: meta.Namespace, UID: meta.UID, Labels: maps.Clone(meta.Labels)}
	if value, ok := meta.Annotations[rbacv1.AutoUpdateAnnotationKey]; ok {
		trimmed.Annotations = map[string]string{rbacv1.AutoUpdateAnnotationKey: value}
	}
	return trimmed
}

// bind adds a binding to the grants of its subjects. The lock is held.
func (x *Index) bind(b *binding) {
	here := x.byNamespace[b.meta.Namespace]
	if here == nil {
		here = grantTable{}
		x.byNamespace[b.meta.Namespace] = here
	}
	for who := range b.bound() {
		grants, given := here[who], b.role()
		i := slices.IndexFunc(grants, func(g grant) bool { return g.role == given })
		if i < 0 {
			grants, i = append(grants, grant{role: given}), len(grants)
		}
		at, _ := slices.BinarySearchFunc(grants[i].bindings, b, byName)
		grants[i].bindings = slices.Insert(grants[i].bindings, at, b)
		sortGrants(grants)
		here[who] = grants
	}
}

// unbind takes a binding from the grants of its subjects. The lock is held.
func (x *Index) unbind(b *binding) {
	here := x.byNamespace[b.meta.Namespace]
	for who := range b.bound() {
		grants, given := here[who], b.role()
		i := slices.IndexFunc(grants, func(g grant) bool { return g.role == given })
		if at, ok := slices.BinarySearchFunc(grants[i].bindings, b, byName); ok {
			grants[i].bindings = slices.Delete(grants[i].bindings, at, at+1)
		}
		if len(grants[i].bindings) == 0 {
			grants = slices.Delete(grants, i, i+1)
		}
		sortGrants(grants)
		here[who] = grants
		if len(grants) == 0 {
			delete(here, who)
		}
	}
	if len(here) == 0 {
		delete(x.byNamespace, b.meta.Namespace)
	}
}

func byName(a, b *binding) int { return strings.Compare(a.meta.Name, b.meta.Name) }

func sortGrants(grants []grant) {
	slices.SortFunc(grants, func(a, b grant) int { return byName(a.bindings[0], b.bindings[0]) })
}

// role names the role that the binding gives.
func (b *binding) role() view.Key { return roleKey(b.ref, b.meta.Namespace) }

func roleKey(ref rbacv1.RoleRef, namespace string) view.Key {
	if ref.Kind == "ClusterRole" {
		namespace = ""
	}
	return view.Key{Namespace: namespace, Name: ref.Name}
}

// bound returns the subjects of the binding.
func (b *binding) bound() map[subject]struct{} {
	set := make(map[subject]struct{}, len(b.subjects))
	for i := range b.subjects {
		if who := b.subject(i); who.name != "" {
			set[who] = struct{}{}
		}
	}
	return set
}

func (b *binding) subject(i int) subject {
	s := &b.subjects[i]
	switch s.Kind {
	case rbacv1.UserKind:
		return subject{name: s.Name}
	case rbacv1.GroupKind:
		return subject{group: true, name: s.Name}
	case rbacv1.ServiceAccountKind:
		if namespace := b.accountNamespace(i); namespace != "" {
			return subject{name: serviceaccount.MakeUsername(namespace, s.Name)}
		}
	}
	return subject{}
}

// accountNamespace is the namespace of a subject that is a service account. The default is the binding's namespace.
func (b *binding) accountNamespace(i int) string {
	if namespace := b.subjects[i].Namespace; namespace != "" {
		return namespace
	}
	return b.meta.Namespace
}

// RulesOf returns the rules of the role that a binding in a namespace refers to; a role that is not in memory is looked
// for in the storage, since another replica may have made it a moment ago. The error is what the API would answer.
func (x *Index) RulesOf(ctx context.Context, ref rbacv1.RoleRef, namespace string) ([]rbacv1.PolicyRule, error) {
	key := roleKey(ref, namespace)
	x.mu.RLock()
	known := x.roles[key]
	x.mu.RUnlock()
	if known != nil {
		return policy(known.rules), nil
	}
	view := x.Roles
	if key.Namespace == "" {
		view = x.ClusterRoles
	}
	obj, err := view.Object(ctx, key.Namespace, key.Name)
	if err != nil {
		return nil, err
	}
	if clusterRole, ok := obj.(*rbacv1.ClusterRole); ok {
		return clusterRole.Rules, nil
	}
	return obj.(*rbacv1.Role).Rules, nil
}
