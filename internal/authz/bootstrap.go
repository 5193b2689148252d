package authz

import (
	"context"
	"errors"
	"fmt"
	"sync"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/retry"
	"k8s.io/component-helpers/auth/rbac/reconciliation"

	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/view"
)

// writers is how many default objects are written at a time: what comes together, etcd stores in one go.
const writers = 16

// clusterRoles returns the default cluster roles.
func (cfg Config) clusterRoles() []*rbacv1.ClusterRole {
	roles := defaultClusterRoles()
	if cfg.OpenShift {
		roles = append(roles, openShiftClusterRoles()...)
	}
	return roles
}

// clusterRoleBindings returns the default cluster role bindings.
func (cfg Config) clusterRoleBindings() []*rbacv1.ClusterRoleBinding {
	bindings := defaultClusterRoleBindings()
	if cfg.OpenShift {
		bindings = append(bindings, openShiftClusterRoleBindings()...)
	}
	return bindings
}

// Bootstrap stores the default roles and bindings that are missing, and adds what is missing in those that are there,
// unless their annotation says not to. Memory shows whether that is necessary at all: on any start but the first
// nothing is read or written. The index must be in step with the storage.
func (cfg Config) Bootstrap(ctx context.Context, client kubernetes.Interface) error {
	x := cfg.Index
	api := client.RbacV1()
	var todo []func() error
	for _, expected := range cfg.clusterRoles() {
		todo = append(todo, func() error {
			return x.reconcileRole(reconciliation.ClusterRoleRuleOwner{ClusterRole: expected},
				reconciliation.ClusterRoleModifier{Client: api.ClusterRoles()})
		})
	}
	for _, expected := range defaultRoles() {
		todo = append(todo, func() error {
			return x.reconcileRole(reconciliation.RoleRuleOwner{Role: expected},
				reconciliation.RoleModifier{Client: api, NamespaceClient: client.CoreV1().Namespaces()})
		})
	}
	for _, expected := range cfg.clusterRoleBindings() {
		todo = append(todo, func() error {
			return x.reconcileBinding(reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: expected},
				reconciliation.ClusterRoleBindingClientAdapter{Client: api.ClusterRoleBindings()})
		})
	}
	for _, expected := range defaultRoleBindings() {
		todo = append(todo, func() error {
			return x.reconcileBinding(reconciliation.RoleBindingAdapter{RoleBinding: expected},
				reconciliation.RoleBindingClientAdapter{Client: api, NamespaceClient: client.CoreV1().Namespaces()})
		})
	}
	return inParallel(ctx, todo)
}

func inParallel(ctx context.Context, todo []func() error) error {
	errs := make([]error, len(todo))
	slots := make(chan struct{}, writers)
	var running sync.WaitGroup
	for i, do := range todo {
		slots <- struct{}{}
		running.Go(func() {
			defer func() { <-slots }()
			if errs[i] = ctx.Err(); errs[i] == nil {
				errs[i] = crash.Guard(do)
			}
		})
	}
	running.Wait()
	return errors.Join(errs...)
}

// reconcileRole stores a role, or adds to the stored one what is missing in it.
func (x *Index) reconcileRole(expected reconciliation.RuleOwner, api reconciliation.RuleOwnerModifier) error {
	run := func(client reconciliation.RuleOwnerModifier, write bool) (change, error) {
		options := reconciliation.ReconcileRoleOptions{Role: expected, Client: client, Confirm: write}
		result, err := options.Run()
		if err != nil {
			return change{}, err
		}
		return change{result.Operation, result.Protected}, nil
	}
	return reconcile(expected.GetName(),
		func() (change, error) { return run(remembered{RuleOwnerModifier: api, index: x}, false) },
		func() (change, error) { return run(api, true) },
		func() error {
			_, err := api.Create(expected)
			return err
		})
}

// reconcileBinding stores a binding, or adds to the stored one what is missing in it. One of another role is replaced.
func (x *Index) reconcileBinding(expected reconciliation.RoleBinding, api reconciliation.RoleBindingModifier) error {
	run := func(client reconciliation.RoleBindingModifier, write bool) (change, error) {
		options := reconciliation.ReconcileRoleBindingOptions{RoleBinding: expected, Client: client, Confirm: write}
		result, err := options.Run()
		if err != nil {
			return change{}, err
		}
		return change{result.Operation, result.Protected}, nil
	}
	return reconcile(expected.GetName(),
		func() (change, error) { return run(rememberedBindings{RoleBindingModifier: api, index: x}, false) },
		func() (change, error) { return run(api, true) },
		func() error {
			_, err := api.Create(expected)
			return err
		})
}

// change is what there is to do about a default object.
type change struct {
	operation reconciliation.ReconcileOperation
	// protected says that the object's annotation forbids it.
	protected bool
}

// reconcile does what the plan, which is made in memory, says is necessary: the object is created or, if another replica
// was faster or it is there already, written.
func reconcile(name string, plan, write func() (change, error), create func() error) error {
	todo, err := plan()
	if err != nil || todo.protected || todo.operation == reconciliation.ReconcileNone {
		return err
	}
	if todo.operation == reconciliation.ReconcileCreate {
		if err := create(); !apierrors.IsAlreadyExists(err) {
			return named(name, err)
		}
	}
	return named(name, retry.RetryOnConflict(retry.DefaultBackoff, func() error {
		_, err := write()
		return err
	}))
}

func named(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("the default %s: %w", name, err)
}

// remembered reads roles from memory.
type remembered struct {
	reconciliation.RuleOwnerModifier
	index *Index
}

// Get returns a role.
func (m remembered) Get(namespace, name string) (reconciliation.RuleOwner, error) {
	m.index.mu.RLock()
	defer m.index.mu.RUnlock()
	known := m.index.roles[view.Key{Namespace: namespace, Name: name}]
	switch {
	case known == nil:
		return nil, apierrors.NewNotFound(rbacv1.Resource("roles"), name)
	case namespace == "":
		return reconciliation.ClusterRoleRuleOwner{ClusterRole: known.clusterRole()}, nil
	}
	return reconciliation.RoleRuleOwner{Role: &rbacv1.Role{ObjectMeta: known.meta, Rules: policy(known.rules)}}, nil
}

func (r *role) clusterRole() *rbacv1.ClusterRole {
	return &rbacv1.ClusterRole{ObjectMeta: r.meta, Rules: policy(r.rules), AggregationRule: r.aggregation}
}

// rememberedBindings reads bindings from memory.
type rememberedBindings struct {
	reconciliation.RoleBindingModifier
	index *Index
}

// Get returns a binding.
func (m rememberedBindings) Get(namespace, name string) (reconciliation.RoleBinding, error) {
	m.index.mu.RLock()
	defer m.index.mu.RUnlock()
	known := m.index.bindings[view.Key{Namespace: namespace, Name: name}]
	switch {
	case known == nil:
		return nil, apierrors.NewNotFound(rbacv1.Resource("rolebindings"), name)
	case namespace == "":
		return reconciliation.ClusterRoleBindingAdapter{ClusterRoleBinding: &rbacv1.ClusterRoleBinding{
			ObjectMeta: known.meta, RoleRef: known.ref, Subjects: known.subjects,
		}}, nil
	}
	return reconciliation.RoleBindingAdapter{RoleBinding: &rbacv1.RoleBinding{
		ObjectMeta: known.meta, RoleRef: known.ref, Subjects: known.subjects,
	}}, nil
}
