package openshift

import (
	"context"

	userv1 "github.com/openshift/api/user/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/mintmark/mintmark/internal/registry"
)

var (
	identityPath = field.NewPath("identity")
	userPath     = field.NewPath("user")
)

type mappingStrategy struct{ strategy }

// PrepareForCreate gives the mapping the name of its identity.
func (mappingStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	if mapping := obj.(*userv1.UserIdentityMapping); mapping.Name == "" {
		mapping.Name = mapping.Identity.Name
	}
}

// PrepareForUpdate lets go of the old user's uid where another user is named, which is what a patch of the name alone
// does.
func (mappingStrategy) PrepareForUpdate(_ context.Context, obj, old runtime.Object) {
	mapping, before := obj.(*userv1.UserIdentityMapping), old.(*userv1.UserIdentityMapping)
	switch {
	case mapping.User.Name != before.User.Name && mapping.User.UID == before.User.UID:
		mapping.User.UID = ""
	case mapping.User.Name == before.User.Name && mapping.User.UID == "":
		mapping.User.UID = before.User.UID
	}
}

func (mappingStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	mapping := obj.(*userv1.UserIdentityMapping)
	errs := registry.ValidateMetadata(&mapping.ObjectMeta, false, validateIdentityName)
	if name := mapping.Identity.Name; name == "" {
		errs = append(errs, field.Required(identityPath.Child("name"), ""))
	} else if name != mapping.Name {
		errs = append(errs, field.Invalid(identityPath.Child("name"), name, "must match metadata.name"))
	}
	if mapping.User.Name == "" {
		errs = append(errs, field.Required(userPath.Child("name"), ""))
	}
	return errs
}

func (s mappingStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*userv1.UserIdentityMapping).ObjectMeta, &old.(*userv1.UserIdentityMapping).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}

// invalidMapping is the error about a mapping with wrong references.
func invalidMapping(mapping *userv1.UserIdentityMapping, at *field.Path, value any, problem string) error {
	return apierrors.NewInvalid(userv1.GroupVersion.WithKind("UserIdentityMapping").GroupKind(), mapping.Name,
		field.ErrorList{field.Invalid(at, value, problem)})
}
