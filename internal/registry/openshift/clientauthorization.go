package openshift

import (
	"context"
	"slices"
	"strings"

	oauthv1 "github.com/openshift/api/oauth/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

// clientAuthorizations serves oauthclientauthorizations: what users have granted to clients. There is one to a user and a
// client, and it is named after both.
type clientAuthorizations struct{ *genericregistry.Store }

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.SingularNameProvider
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
} = (*clientAuthorizations)(nil)

func newClientAuthorizations(getter generic.RESTOptionsGetter, clients clients) (*clientAuthorizations, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthclientauthorizations",
		Singular:  "oauthclientauthorization",
		NewObject: func() runtime.Object { return &oauthv1.OAuthClientAuthorization{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthClientAuthorizationList{} },
		Strategy:  clientAuthorizationStrategy{commonStrategy, clients},
		Table:     clientAuthorizationTable,
		Attrs: registry.Selectable(func(authorization *oauthv1.OAuthClientAuthorization, set fields.Set) {
			set["clientName"] = authorization.ClientName
			set["userName"] = authorization.UserName
			set["userUID"] = authorization.UserUID
		}),
	})
	if err != nil {
		return nil, err
	}
	return &clientAuthorizations{store}, nil
}

// Update also creates what isn't there, but only under the name that follows from user and client, by which it is looked up.
func (s *clientAuthorizations) Update(ctx context.Context, name string, info rest.UpdatedObjectInfo,
	create rest.ValidateObjectFunc, update rest.ValidateObjectUpdateFunc, forceAllowCreate bool, options *metav1.UpdateOptions,
) (runtime.Object, bool, error) {
	info = rest.WrapUpdatedObjectInfo(info, func(_ context.Context, obj, old runtime.Object) (runtime.Object, error) {
		isNew := old.(*oauthv1.OAuthClientAuthorization).ResourceVersion == ""
		if isNew && authorizationName(obj.(*oauthv1.OAuthClientAuthorization)) != name {
			return nil, apierrors.NewInvalid(oauthv1.GroupVersion.WithKind("OAuthClientAuthorization").GroupKind(), name,
				field.ErrorList{field.Invalid(metadataPath.Child("name"), name, authorizationNameForm)})
		}
		return obj, nil
	})
	return s.Store.Update(ctx, name, info, create, update, forceAllowCreate, options)
}

type clientAuthorizationStrategy struct {
	strategy
	clients clients
}

// AllowCreateOnUpdate is true: a PUT of what doesn't exist creates it.
func (clientAuthorizationStrategy) AllowCreateOnUpdate(context.Context) bool { return true }

// PrepareForCreate sets the name, which follows from user and client.
func (clientAuthorizationStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	authorization := obj.(*oauthv1.OAuthClientAuthorization)
	authorization.Name = authorizationName(authorization)
}

// PrepareForUpdate does the same. Where user or client are others, the name is, too, and that is refused.
func (s clientAuthorizationStrategy) PrepareForUpdate(ctx context.Context, obj, _ runtime.Object) {
	s.PrepareForCreate(ctx, obj)
}

func authorizationName(authorization *oauthv1.OAuthClientAuthorization) string {
	return authorization.UserName + ":" + authorization.ClientName
}

const authorizationNameForm = "must be in the format <userName>:<clientName>"

// Validate checks a new authorization, and in the end whether the client may have it.
func (s clientAuthorizationStrategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	authorization := obj.(*oauthv1.OAuthClientAuthorization)
	return append(validateClientAuthorization(authorization), s.clients.check(ctx, authorization.ClientName, authorization.Scopes)...)
}

// ValidateUpdate looks at the client again only if it gets more.
func (s clientAuthorizationStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	authorization, before := obj.(*oauthv1.OAuthClientAuthorization), old.(*oauthv1.OAuthClientAuthorization)
	errs := validateClientAuthorization(authorization)
	errs = append(errs, validation.ValidateObjectMetaUpdate(&authorization.ObjectMeta, &before.ObjectMeta, metadataPath)...)
	for _, member := range []struct{ name, now, before string }{
		{"clientName", authorization.ClientName, before.ClientName},
		{"userName", authorization.UserName, before.UserName},
		{"userUID", authorization.UserUID, before.UserUID},
	} {
		if member.now != member.before {
			errs = append(errs, field.Invalid(field.NewPath(member.name), member.now, member.name+" is not a mutable field"))
		}
	}
	if widened(authorization.Scopes, before.Scopes) {
		errs = append(errs, s.clients.check(ctx, authorization.ClientName, authorization.Scopes)...)
	}
	return errs
}

func validateClientAuthorization(authorization *oauthv1.OAuthClientAuthorization) field.ErrorList {
	errs := validation.ValidateObjectMeta(&authorization.ObjectMeta, false, validateAuthorizationName, metadataPath)
	errs = append(errs, validateClientName(authorization.ClientName)...)
	errs = append(errs, validateGrantee(authorization.UserName)...)
	errs = append(errs, validateScopes(authorization.Scopes, scopesPath)...)
	return append(errs, required(field.NewPath("useruid"), authorization.UserUID)...)
}

// validateAuthorizationName checks that both parts of a name are there.
func validateAuthorizationName(name string, prefix bool) []string {
	if problems := validatePathSegment(name, prefix); len(problems) != 0 {
		return problems
	}
	if user, client, ok := strings.Cut(name, ":"); !ok || user == "" || client == "" {
		return []string{authorizationNameForm}
	}
	return nil
}

// widened reports whether scopes allow what they didn't before. None at all allow everything.
func widened(scopes, before []string) bool {
	return len(scopes) == 0 && len(before) != 0 ||
		slices.ContainsFunc(scopes, func(scope string) bool { return !slices.Contains(before, scope) })
}

var clientAuthorizationDocs = oauthv1.OAuthClientAuthorization{}.SwaggerDoc()

var clientAuthorizationTable = &registry.Table[*oauthv1.OAuthClientAuthorization]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		nameOf("User Name", clientAuthorizationDocs["userName"]),
		nameOf("Client Name", clientAuthorizationDocs["clientName"]),
		registry.Column("Scopes", clientAuthorizationDocs["scopes"]),
	},
	Cells: func(authorization *oauthv1.OAuthClientAuthorization) []any {
		return []any{authorization.Name, authorization.UserName, authorization.ClientName, strings.Join(authorization.Scopes, ",")}
	},
}
