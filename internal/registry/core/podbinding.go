package core

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/dryrun"
)

// podBindingStorage serves pods/binding: the only way to give an existing pod a node.
type podBindingStorage struct {
	store *genericregistry.Store
}

var _ interface {
	rest.NamedCreater
	rest.SubresourceObjectMetaPreserver
} = (*podBindingStorage)(nil)

func (*podBindingStorage) New() runtime.Object { return &corev1.Binding{} }

// Destroy does nothing: the pods' storage is closed by the pods.
func (*podBindingStorage) Destroy() {}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate lets a binding say by its UID and resource version which
// pod it means.
func (*podBindingStorage) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool {
	return true
}

func (s *podBindingStorage) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc,
	options *metav1.CreateOptions,
) (runtime.Object, error) {
	binding, ok := obj.(*corev1.Binding)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a Binding object: %T", obj))
	}
	if name != binding.Name {
		return nil, apierrors.NewBadRequest("name in URL does not match name in Binding object")
	}
	if errs := validateBinding(binding); len(errs) > 0 {
		return nil, errs.ToAggregate()
	}
	if validate != nil {
		if err := validate(ctx, binding.DeepCopy()); err != nil {
			return nil, err
		}
	}
	if err := s.bind(ctx, binding, dryrun.IsDryRun(options.DryRun)); err != nil {
		return nil, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, nil
}

func validateBinding(binding *corev1.Binding) field.ErrorList {
	var errs field.ErrorList
	target := field.NewPath("target")
	if kind := binding.Target.Kind; kind != "" && kind != "Node" {
		errs = append(errs, field.NotSupported(target.Child("kind"), kind, []string{"Node", "<empty>"}))
	}
	if binding.Target.Name == "" {
		errs = append(errs, field.Required(target.Child("name"), ""))
	}
	return errs
}

// bind puts the pod on the node, along with the binding's labels and annotations.
func (s *podBindingStorage) bind(ctx context.Context, binding *corev1.Binding, dryRun bool) error {
	key, err := s.store.KeyFunc(ctx, binding.Name)
	if err != nil {
		return err
	}
	var preconditions *storage.Preconditions
	if binding.UID != "" || binding.ResourceVersion != "" {
		preconditions = &storage.Preconditions{}
		if binding.UID != "" {
			preconditions.UID = &binding.UID
		}
		if binding.ResourceVersion != "" {
			preconditions.ResourceVersion = &binding.ResourceVersion
		}
	}
	err = s.store.Storage.GuaranteedUpdate(ctx, key, s.store.NewFunc(), false, preconditions,
		storage.SimpleUpdate(func(obj runtime.Object) (runtime.Object, error) {
			pod := obj.(*corev1.Pod)
			if err := mayBeBound(pod); err != nil {
				return nil, err
			}
			pod.Spec.NodeName = binding.Target.Name
			// The nominated node no longer matters.
			pod.Status.NominatedNodeName = ""
			pod.Labels = merged(pod.Labels, binding.Labels)
			pod.Annotations = merged(pod.Annotations, binding.Annotations)
			setScheduled(&pod.Status)
			return pod, nil
		}), dryRun, nil)
	if err == nil {
		return nil
	}
	return updateError(err, "pods", binding.Name, func(err error) error {
		return apierrors.NewConflict(corev1.Resource("pods/binding"), binding.Name, err)
	})
}

func mayBeBound(pod *corev1.Pod) error {
	switch {
	case pod.DeletionTimestamp != nil:
		return fmt.Errorf("pod %s is being deleted, cannot be assigned to a host", pod.Name)
	case pod.Spec.NodeName != "":
		return fmt.Errorf("pod %v is already assigned to node %q", pod.Name, pod.Spec.NodeName)
	case len(pod.Spec.SchedulingGates) > 0:
		return fmt.Errorf("pod %v has non-empty .spec.schedulingGates", pod.Name)
	}
	return nil
}

// merged adds the entries of from to to.
func merged(to, from map[string]string) map[string]string {
	if to == nil && len(from) > 0 {
		to = make(map[string]string, len(from))
	}
	maps.Copy(to, from)
	return to
}

// setScheduled notes in the pod's conditions that it has a node.
func setScheduled(status *corev1.PodStatus) {
	condition := corev1.PodCondition{
		Type: corev1.PodScheduled, Status: corev1.ConditionTrue, LastTransitionTime: metav1.Now(),
	}
	i := slices.IndexFunc(status.Conditions, func(c corev1.PodCondition) bool { return c.Type == corev1.PodScheduled })
	if i < 0 {
		status.Conditions = append(status.Conditions, condition)
		return
	}
	if status.Conditions[i].Status == corev1.ConditionTrue {
		condition.LastTransitionTime = status.Conditions[i].LastTransitionTime
	}
	status.Conditions[i] = condition
}
