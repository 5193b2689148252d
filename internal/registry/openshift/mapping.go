package openshift

import (
	"context"
	"fmt"
	"slices"

	userv1 "github.com/openshift/api/user/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
)

// mappingStorage serves useridentitymappings, which are nowhere stored: one exists where an identity and a user name
// each other. Its name, uid, resource version and age are those of the identity.
//
// The write of the identity makes, moves or ends a mapping. It fails if the identity has been changed meanwhile. The user is
// written before a mapping begins and after it has ended. A write that fails in between leaves at most the name of an
// identity in a user to whom it doesn't belong, which has no effect.
type mappingStorage struct {
	users, identities *genericregistry.Store
	strategy          mappingStrategy
}

var _ interface {
	rest.Creater
	rest.Patcher
	rest.GracefulDeleter
	rest.Scoper
	rest.SingularNameProvider
} = (*mappingStorage)(nil)

func newMappingStorage(users, identities *genericregistry.Store) *mappingStorage {
	return &mappingStorage{users: users, identities: identities, strategy: mappingStrategy{commonStrategy}}
}

// New returns an empty mapping.
func (s *mappingStorage) New() runtime.Object { return &userv1.UserIdentityMapping{} }

// Destroy has nothing to release: users and identities are closed by their own resources.
func (s *mappingStorage) Destroy() {}

// NamespaceScoped is false.
func (s *mappingStorage) NamespaceScoped() bool { return false }

// GetSingularName is the name of one mapping.
func (s *mappingStorage) GetSingularName() string { return "useridentitymapping" }

// mappingResource is how errors name mappings.
var mappingResource = userv1.Resource("useridentitymapping")

// mapped is an identity with the user that it belongs to. There is no user where only one of them names the other.
type mapped struct {
	identity *userv1.Identity
	user     *userv1.User
}

func (m mapped) mapping() *userv1.UserIdentityMapping {
	return &userv1.UserIdentityMapping{
		ObjectMeta: metav1.ObjectMeta{
			Name:              m.identity.Name,
			UID:               m.identity.UID,
			ResourceVersion:   m.identity.ResourceVersion,
			CreationTimestamp: m.identity.CreationTimestamp,
		},
		Identity: corev1.ObjectReference{Name: m.identity.Name, UID: m.identity.UID},
		User:     corev1.ObjectReference{Name: m.user.Name, UID: m.user.UID},
	}
}

// find returns the identity of a name and its user, as far as they exist.
func (s *mappingStorage) find(ctx context.Context, name string) (mapped, error) {
	identity, err := get[userv1.Identity](ctx, s.identities, name)
	if err != nil || identity == nil || identity.User.Name == "" {
		return mapped{identity: identity}, err
	}
	user, err := get[userv1.User](ctx, s.users, identity.User.Name)
	if err != nil || user == nil || user.UID != identity.User.UID || !slices.Contains(user.Identities, name) {
		return mapped{identity: identity}, err
	}
	return mapped{identity, user}, nil
}

// get returns an object, or nil if there is none.
func get[T any](ctx context.Context, store *genericregistry.Store, name string) (*T, error) {
	obj, err := store.Get(ctx, name, &metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return any(obj).(*T), nil
}

// Get returns a mapping.
func (s *mappingStorage) Get(ctx context.Context, name string, _ *metav1.GetOptions) (runtime.Object, error) {
	found, err := s.find(ctx, name)
	if err != nil {
		return nil, err
	}
	if found.user == nil {
		return nil, apierrors.NewNotFound(mappingResource, name)
	}
	return found.mapping(), nil
}

// Create maps an identity that is not mapped yet.
func (s *mappingStorage) Create(ctx context.Context, obj runtime.Object, validate rest.ValidateObjectFunc, options *metav1.CreateOptions,
) (runtime.Object, error) {
	wanted := obj.(*userv1.UserIdentityMapping)
	// These values are not kept: the answer has the identity's.
	rest.FillObjectMetaSystemFields(wanted)
	if err := rest.BeforeCreate(s.strategy, ctx, wanted); err != nil {
		return nil, err
	}
	found, err := s.find(ctx, wanted.Name)
	if err != nil {
		return nil, err
	}
	if found.user != nil {
		return nil, apierrors.NewAlreadyExists(mappingResource, wanted.Name)
	}
	if validate != nil {
		if err := validate(ctx, wanted.DeepCopy()); err != nil {
			return nil, err
		}
	}
	return s.join(ctx, wanted, found, options.DryRun)
}

// Update maps an identity to another user. A mapping that isn't there is made.
func (s *mappingStorage) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	validateCreate rest.ValidateObjectFunc, validateUpdate rest.ValidateObjectUpdateFunc, _ bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	found, err := s.find(ctx, name)
	if err != nil {
		return nil, false, err
	}
	if found.user == nil {
		obj, err := info.UpdatedObject(ctx, s.New())
		if err != nil {
			return nil, false, err
		}
		wanted := obj.(*userv1.UserIdentityMapping)
		if err := found.confirm(name, wanted); err != nil {
			return nil, false, err
		}
		wanted.ResourceVersion = ""
		made, err := s.Create(ctx, wanted, validateCreate, &metav1.CreateOptions{DryRun: options.DryRun})
		return made, err == nil, err
	}
	old := found.mapping()
	obj, err := info.UpdatedObject(ctx, old)
	if err != nil {
		return nil, false, err
	}
	wanted := obj.(*userv1.UserIdentityMapping)
	if err := rest.BeforeUpdate(s.strategy, ctx, wanted, old); err != nil {
		return nil, false, err
	}
	if err := found.confirm(name, wanted); err != nil {
		return nil, false, err
	}
	if err := found.confirmReference(wanted); err != nil {
		return nil, false, err
	}
	if validateUpdate != nil {
		if err := validateUpdate(ctx, wanted.DeepCopy(), old.DeepCopy()); err != nil {
			return nil, false, err
		}
	}
	if wanted.User.Name == old.User.Name && wanted.User.UID == old.User.UID {
		return old, false, nil
	}
	now, err := s.join(ctx, wanted, found, options.DryRun)
	return now, false, err
}

// confirm returns an error if the caller means another identity, or another version of it.
func (m mapped) confirm(name string, wanted *userv1.UserIdentityMapping) error {
	if m.identity == nil {
		return nil // which is told of the reference
	}
	if wanted.UID != "" && wanted.UID != m.identity.UID {
		return apierrors.NewConflict(mappingResource, name, fmt.Errorf("Precondition failed: UID in precondition: %v, UID in object meta: %v", wanted.UID, m.identity.UID))
	}
	if wanted.ResourceVersion != "" && wanted.ResourceVersion != m.identity.ResourceVersion {
		return conflict(name, m.identity)
	}
	return nil
}

// confirmReference returns an error if the caller refers to an earlier identity of the name.
func (m mapped) confirmReference(wanted *userv1.UserIdentityMapping) error {
	if uid := wanted.Identity.UID; uid != "" && uid != m.identity.UID {
		return invalidMapping(wanted, identityPath.Child("uid"), uid, "is not that of the referenced identity")
	}
	return nil
}

func conflict(name string, identity *userv1.Identity) error {
	return apierrors.NewConflict(mappingResource, name, fmt.Errorf("the resource was updated to %s", identity.ResourceVersion))
}

// join has the identity that was found, and the user that is wanted, name each other.
func (s *mappingStorage) join(ctx context.Context, wanted *userv1.UserIdentityMapping, found mapped, dryRun []string) (runtime.Object, error) {
	if found.identity == nil {
		return nil, invalidMapping(wanted, identityPath.Child("name"), wanted.Identity.Name, "referenced identity does not exist")
	}
	if err := found.confirmReference(wanted); err != nil {
		return nil, err
	}
	var user *userv1.User
	if len(validateUserName(wanted.User.Name, false)) == 0 {
		var err error
		if user, err = get[userv1.User](ctx, s.users, wanted.User.Name); err != nil {
			return nil, err
		}
	}
	if user == nil {
		return nil, invalidMapping(wanted, userPath.Child("name"), wanted.User.Name, "referenced user does not exist")
	}
	if uid := wanted.User.UID; uid != "" && uid != user.UID {
		return nil, invalidMapping(wanted, userPath.Child("uid"), uid, "is not that of the referenced user")
	}
	if err := s.addTo(ctx, user, found.identity.Name, dryRun); err != nil {
		return nil, err
	}
	identity, err := s.refer(ctx, found.identity, corev1.ObjectReference{Name: user.Name, UID: user.UID}, dryRun)
	if err != nil {
		return nil, err
	}
	if old := found.user; old != nil && old.UID != user.UID {
		// The identity has left that user already: what remains there means nothing.
		if err := s.removeFrom(ctx, old, found.identity.Name, dryRun); err != nil {
			utilruntime.HandleErrorWithContext(ctx, err, "A user still names an identity that belongs to another one now")
		}
	}
	return mapped{identity, user}.mapping(), nil
}

// Delete parts an identity from its user.
func (s *mappingStorage) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	found, err := s.find(ctx, name)
	if err != nil {
		return nil, false, err
	}
	if found.user == nil {
		return nil, false, apierrors.NewNotFound(mappingResource, name)
	}
	mapping := found.mapping()
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	if _, _, err := rest.BeforeDelete(s.strategy, ctx, mapping, options); err != nil {
		return nil, false, err
	}
	if validate != nil {
		if err := validate(ctx, mapping); err != nil {
			return nil, false, err
		}
	}
	if _, err := s.refer(ctx, found.identity, corev1.ObjectReference{}, options.DryRun); err != nil {
		return nil, false, err
	}
	if err := s.removeFrom(ctx, found.user, name, options.DryRun); err != nil {
		return nil, false, err
	}
	return &metav1.Status{Status: metav1.StatusSuccess}, true, nil
}
