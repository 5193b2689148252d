package core

import (
	"context"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	storeerr "k8s.io/apiserver/pkg/storage/errors"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"
)

// namespaceStorage serves namespaces. It doesn't embed its store, since a collection of namespaces can't be deleted.
type namespaceStorage struct {
	store *genericregistry.Store
}

var _ interface {
	rest.CreaterUpdater
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.GracefulDeleter
	rest.MayReturnFullObjectDeleter
	rest.Scoper
	rest.ShortNamesProvider
	rest.SingularNameProvider
	rest.StorageVersionProvider
	rest.StorageWithReadiness
	rest.ResetFieldsStrategy
} = (*namespaceStorage)(nil)

func (s *namespaceStorage) New() runtime.Object     { return s.store.New() }
func (s *namespaceStorage) NewList() runtime.Object { return s.store.NewList() }
func (s *namespaceStorage) Destroy()                { s.store.Destroy() }
func (s *namespaceStorage) ReadinessCheck() error   { return s.store.ReadinessCheck() }

func (s *namespaceStorage) NamespaceScoped() bool   { return s.store.NamespaceScoped() }
func (s *namespaceStorage) ShortNames() []string    { return []string{"ns"} }
func (s *namespaceStorage) GetSingularName() string { return s.store.GetSingularName() }

func (s *namespaceStorage) StorageVersion() runtime.GroupVersioner { return s.store.StorageVersion() }

func (s *namespaceStorage) DeleteReturnsDeletedObject() bool { return s.store.ReturnDeletedObject }

func (s *namespaceStorage) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return s.store.GetResetFields()
}

func (s *namespaceStorage) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	return s.store.Get(ctx, name, options)
}

func (s *namespaceStorage) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	return s.store.List(ctx, options)
}

func (s *namespaceStorage) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	return s.store.Watch(ctx, options)
}

func (s *namespaceStorage) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	return s.store.ConvertToTable(ctx, obj, options)
}

func (s *namespaceStorage) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions,
) (runtime.Object, error) {
	return s.store.Create(ctx, obj, validate, options)
}

func (s *namespaceStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	return s.store.Update(ctx, name, info, create, update, forceAllowCreate, options)
}

// Delete takes two steps. The first marks the namespace as terminating, so that no object is created in it while its content is
// deleted. The namespace controller then empties spec.finalizers, and the namespace is removed. A deletion in between changes
// nothing.
func (s *namespaceStorage) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	obj, err := s.store.Get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	ns := obj.(*corev1.Namespace)
	if options == nil {
		options = metav1.NewDeleteOptions(0)
	}
	if err := pinToUID(ns, options); err != nil {
		return nil, false, err
	}
	if ns.DeletionTimestamp.IsZero() {
		terminating, err := s.terminate(ctx, name, validate, options)
		return terminating, false, err
	}
	if len(ns.Spec.Finalizers) > 0 {
		return ns, false, nil
	}
	return s.store.Delete(ctx, name, validate, options)
}

// pinToUID limits a deletion to this namespace, in case another takes its name meanwhile.
func pinToUID(ns *corev1.Namespace, options *metav1.DeleteOptions) error {
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	want := options.Preconditions
	conflict := func(what string, wanted, found any) error {
		return apierrors.NewConflict(corev1.Resource("namespaces"), ns.Name,
			fmt.Errorf("Precondition failed: %s in precondition: %v, %s in object meta: %v", what, wanted, what, found))
	}
	switch {
	case want.UID == nil:
		want.UID = &ns.UID
	case *want.UID != ns.UID:
		return conflict("UID", *want.UID, ns.UID)
	}
	if want.ResourceVersion != nil && *want.ResourceVersion != ns.ResourceVersion {
		return conflict("ResourceVersion", *want.ResourceVersion, ns.ResourceVersion)
	}
	return nil
}

// terminate marks the namespace as being deleted.
func (s *namespaceStorage) terminate(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, error) {
	key, err := s.store.KeyFunc(ctx, name)
	if err != nil {
		return nil, err
	}
	preconditions := &storage.Preconditions{
		UID: options.Preconditions.UID, ResourceVersion: options.Preconditions.ResourceVersion,
	}
	out := s.store.NewFunc()
	err = s.store.Storage.GuaranteedUpdate(ctx, key, out, false, preconditions,
		storage.SimpleUpdate(func(existing runtime.Object) (runtime.Object, error) {
			if err := validate(ctx, existing); err != nil {
				return nil, err
			}
			ns := existing.(*corev1.Namespace)
			if ns.DeletionTimestamp.IsZero() {
				now := metav1.Now()
				ns.DeletionTimestamp = &now
			}
			ns.Status.Phase = corev1.NamespaceTerminating
			ns.Finalizers = withPolicy(ns.Finalizers, options)
			return ns, nil
		}), dryrun.IsDryRun(options.DryRun), nil)
	if err != nil {
		return nil, updateError(err, "namespaces", name, apierrors.NewInternalError)
	}
	return out, nil
}

// withPolicy returns the finalizers of a namespace whose deletion begins: the garbage collector's two, which follow from
// the options, stand behind all others. Unlike elsewhere, OrphanDependents that is false means the foreground.
func withPolicy(finalizers []string, options *metav1.DeleteOptions) []string {
	policy := ptr.Deref(options.PropagationPolicy, "")
	switch orphan := options.OrphanDependents; { //nolint:staticcheck // deprecated, and clients send it
	case orphan != nil && *orphan:
		policy = metav1.DeletePropagationOrphan
	case orphan != nil:
		policy = metav1.DeletePropagationForeground
	case options.PropagationPolicy == nil:
		return finalizers
	}
	others := slices.DeleteFunc(slices.Clone(finalizers), func(finalizer string) bool {
		return finalizer == metav1.FinalizerOrphanDependents || finalizer == metav1.FinalizerDeleteDependents
	})
	switch policy {
	case metav1.DeletePropagationOrphan:
		return append(others, metav1.FinalizerOrphanDependents)
	case metav1.DeletePropagationForeground:
		return append(others, metav1.FinalizerDeleteDependents)
	}
	return others
}

// updateError returns the API error for an update that the storage refused. Errors of other kinds are wrapped by other.
func updateError[E error](err error, resource, name string, other func(error) E) error {
	err = storeerr.InterpretGetError(err, corev1.Resource(resource), name)
	err = storeerr.InterpretUpdateError(err, corev1.Resource(resource), name)
	if _, ok := err.(apierrors.APIStatus); ok {
		return err
	}
	return other(err)
}
