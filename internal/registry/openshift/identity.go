package openshift

import (
	"context"
	"strings"

	userv1 "github.com/openshift/api/user/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

func newIdentityStorage(getter generic.RESTOptionsGetter) (*genericregistry.Store, error) {
	return registry.NewStore(getter, registry.Definition{
		Group:     userv1.GroupName,
		Plural:    "identities",
		Singular:  "identity",
		NewObject: func() runtime.Object { return &userv1.Identity{} },
		NewList:   func() runtime.Object { return &userv1.IdentityList{} },
		Strategy:  identityStrategy{commonStrategy},
		Table:     identityTable,
		Attrs: registry.Selectable(func(identity *userv1.Identity, set fields.Set) {
			set["providerName"] = identity.ProviderName
			set["providerUserName"] = identity.ProviderUserName
			set["user.name"] = identity.User.Name
			set["user.uid"] = string(identity.User.UID)
		}),
	})
}

type identityStrategy struct{ strategy }

// PrepareForCreate sets the name, which follows from the provider and the user there.
func (identityStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	identity := obj.(*userv1.Identity)
	identity.Name = identityName(identity)
}

func identityName(identity *userv1.Identity) string {
	return identity.ProviderName + ":" + identity.ProviderUserName
}

func (identityStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	identity := obj.(*userv1.Identity)
	errs := registry.ValidateMetadata(&identity.ObjectMeta, false, validateIdentityName)
	provider, providerUser := field.NewPath("providerName"), field.NewPath("providerUserName")
	if identity.ProviderName == "" {
		errs = append(errs, field.Required(provider, ""))
	} else {
		errs = append(errs, registry.Problems(provider, identity.ProviderName, providerNameProblems)...)
	}
	if identity.ProviderUserName == "" {
		errs = append(errs, field.Required(providerUser, ""))
	} else {
		errs = append(errs, registry.Problems(providerUser, identity.ProviderUserName, func(name string) []string {
			return validateUserName(name, false)
		})...)
	}
	if identity.ProviderName != "" && identity.ProviderUserName != "" && identity.Name != identityName(identity) {
		errs = append(errs, field.Invalid(metadataPath.Child("name"), identity.Name, "must be "+identityName(identity)))
	}
	user := field.NewPath("user")
	switch hasName, hasUID := identity.User.Name != "", identity.User.UID != ""; {
	case hasName && !hasUID:
		errs = append(errs, field.Required(user.Child("uid"), "uid is required when username is provided"))
	case hasUID && !hasName:
		errs = append(errs, field.Required(user.Child("username"), "username is required when uid is provided"))
	}
	return errs
}

func (s identityStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	identity, oldIdentity := obj.(*userv1.Identity), old.(*userv1.Identity)
	errs := registry.ValidateMetadataUpdate(&identity.ObjectMeta, &oldIdentity.ObjectMeta)
	errs = append(errs, s.Validate(ctx, obj)...)
	if identity.ProviderName != oldIdentity.ProviderName {
		errs = append(errs, field.Invalid(field.NewPath("providerName"), identity.ProviderName, "may not change providerName"))
	}
	if identity.ProviderUserName != oldIdentity.ProviderUserName {
		errs = append(errs, field.Invalid(field.NewPath("providerUserName"), identity.ProviderUserName, "may not change providerUserName"))
	}
	return errs
}

// validateIdentityName allows <provider>:<user there>. A colon in the user's name is none of ours if the name is encoded.
func validateIdentityName(name string, prefix bool) []string {
	const format = "must be in the format <providerName>:<providerUserName>"
	if problems := validatePathSegment(name, prefix); len(problems) > 0 {
		return problems
	}
	provider, user, found := strings.Cut(name, ":")
	switch {
	case !found:
		return []string{format}
	case provider == "":
		return []string{format + " with a non-empty providerName"}
	case user == "":
		return []string{format + " with a non-empty providerUserName"}
	case strings.Contains(user, ":") && !strings.HasPrefix(user, encodedPrefix):
		return []string{format}
	}
	return nil
}

func identityNameProblems(name string) []string { return validateIdentityName(name, false) }

func providerNameProblems(name string) []string {
	if problems := validatePathSegment(name, false); len(problems) > 0 {
		return problems
	}
	if strings.Contains(name, ":") {
		return []string{`may not contain ":"`}
	}
	return nil
}

var identityDocs = userv1.Identity{}.SwaggerDoc()

var identityTable = &registry.Table[*userv1.Identity]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		{Name: "IDP Name", Type: "string", Format: "name", Description: identityDocs["providerName"]},
		{Name: "IDP User Name", Type: "string", Format: "name", Description: identityDocs["providerUserName"]},
		{Name: "User Name", Type: "string", Format: "name", Description: identityDocs["user"]},
		registry.Column("User UID", identityDocs["user"]),
	},
	Cells: func(identity *userv1.Identity) []any {
		return []any{identity.Name, identity.ProviderName, identity.ProviderUserName, identity.User.Name, string(identity.User.UID)}
	},
}
