package openshift

import (
	"context"
	"slices"

	userv1 "github.com/openshift/api/user/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// addTo adds an identity to the identities of a user.
func (s *mappingStorage) addTo(ctx context.Context, user *userv1.User, identity string, dryRun []string) error {
	_, err := update(ctx, s.users, user.Name, dryRun, func(now *userv1.User) error {
		if now.UID != user.UID {
			return apierrors.NewNotFound(userv1.Resource("users"), user.Name)
		}
		if !slices.Contains(now.Identities, identity) {
			now.Identities = append(now.Identities, identity)
		}
		return nil
	})
	return err
}

// removeFrom removes an identity from the identities of a user. A user that doesn't exist is no error.
func (s *mappingStorage) removeFrom(ctx context.Context, user *userv1.User, identity string, dryRun []string) error {
	_, err := update(ctx, s.users, user.Name, dryRun, func(now *userv1.User) error {
		if now.UID != user.UID {
			return apierrors.NewNotFound(userv1.Resource("users"), user.Name)
		}
		now.Identities = slices.DeleteFunc(now.Identities, func(name string) bool { return name == identity })
		if len(now.Identities) == 0 {
			now.Identities = nil
		}
		return nil
	})
	if apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

// refer has an identity refer to a user, unless it has been changed meanwhile.
func (s *mappingStorage) refer(ctx context.Context, identity *userv1.Identity, user corev1.ObjectReference, dryRun []string) (*userv1.Identity, error) {
	return update(ctx, s.identities, identity.Name, dryRun, func(now *userv1.Identity) error {
		if now.ResourceVersion != identity.ResourceVersion {
			return conflict(identity.Name, now)
		}
		now.User = user
		return nil
	})
}

// update changes a stored object.
func update[T any, P interface {
	*T
	runtime.Object
}](ctx context.Context, store *genericregistry.Store, name string, dryRun []string, change func(P) error) (P, error) {
	info := rest.DefaultUpdatedObjectInfo(nil, func(_ context.Context, _, old runtime.Object) (runtime.Object, error) {
		now := old.DeepCopyObject().(P)
		return now, change(now)
	})
	obj, _, err := store.Update(ctx, name, info, nil, nil, false, &metav1.UpdateOptions{DryRun: dryRun})
	if err != nil {
		return nil, err
	}
	return obj.(P), nil
}
