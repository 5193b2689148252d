package openshift

import (
	"context"
	"errors"
	"slices"
	"strings"

	userv1 "github.com/openshift/api/user/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/user"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	"sigs.k8s.io/structured-merge-diff/v6/fieldpath"

	"github.com/mintmark/mintmark/internal/registry"
)

const (
	// caller is the name under which a caller reads its own user.
	caller = "~"
	// installer is the user of a fresh cluster. No User object may have that name.
	installer = "kube:admin"
)

// userStorage serves users. One name is not that of an object: see Get.
type userStorage struct {
	*genericregistry.Store
}

var _ interface {
	rest.StandardStorage
	rest.Scoper
	rest.SingularNameProvider
	rest.ResetFieldsStrategy
	rest.StorageVersionProvider
} = (*userStorage)(nil)

func newUserStorage(getter generic.RESTOptionsGetter) (*userStorage, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     userv1.GroupName,
		Plural:    "users",
		Singular:  "user",
		NewObject: func() runtime.Object { return &userv1.User{} },
		NewList:   func() runtime.Object { return &userv1.UserList{} },
		Strategy:  userStrategy{commonStrategy},
		Table:     userTable,
		Attrs:     registry.Selectable[*userv1.User](nil),
	})
	if err != nil {
		return nil, err
	}
	return &userStorage{store}, nil
}

// Get returns a user; for ~ the caller, whether stored or not. A name that no user can have is invalid and not merely
// absent.
func (s *userStorage) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	if name == caller {
		return s.caller(ctx, options)
	}
	if problems := validateUserName(name, false); len(problems) > 0 && name != installer {
		return nil, apierrors.NewInvalid(userv1.GroupVersion.WithKind("User").GroupKind(), name, field.ErrorList{
			field.Invalid(metadataPath.Child("name"), name, strings.Join(problems, ", ")),
		})
	}
	return s.Store.Get(ctx, name, options)
}

// caller returns the user of the request, with the groups of the request. A stored User object adds its other fields.
func (s *userStorage) caller(ctx context.Context, options *metav1.GetOptions) (runtime.Object, error) {
	who, ok := genericapirequest.UserFrom(ctx)
	if !ok || who.GetName() == "" {
		return nil, apierrors.NewForbidden(userv1.Resource("user"), caller, errors.New("requests to ~ must be authenticated"))
	}
	if len(validateUserName(who.GetName(), false)) > 0 {
		return virtualUser(who), nil
	}
	obj, err := s.Store.Get(ctx, who.GetName(), options)
	switch {
	case apierrors.IsNotFound(err):
		return virtualUser(who), nil
	case err != nil:
		return nil, apierrors.NewInternalError(err)
	}
	stored := obj.(*userv1.User)
	stored.Groups = groupsOf(who)
	if uid := who.GetUID(); uid != "" {
		stored.UID = types.UID(uid)
	}
	return stored, nil
}

// virtualUser is the User object of a caller that is not stored, such as a service account.
func virtualUser(who user.Info) *userv1.User {
	return &userv1.User{
		ObjectMeta: metav1.ObjectMeta{Name: who.GetName(), UID: types.UID(who.GetUID())},
		Groups:     groupsOf(who),
	}
}

func groupsOf(who user.Info) []string {
	return slices.Compact(slices.Sorted(slices.Values(who.GetGroups())))
}

type userStrategy struct{ strategy }

// PrepareForCreate drops the groups: Group objects hold the members.
func (userStrategy) PrepareForCreate(_ context.Context, obj runtime.Object) {
	obj.(*userv1.User).Groups = nil
}

func (userStrategy) PrepareForUpdate(_ context.Context, obj, _ runtime.Object) {
	obj.(*userv1.User).Groups = nil
}

// GetResetFields names the groups: they are dropped, so no manager owns them.
func (userStrategy) GetResetFields() map[fieldpath.APIVersion]*fieldpath.Set {
	return map[fieldpath.APIVersion]*fieldpath.Set{
		fieldpath.APIVersion(userv1.GroupVersion.String()): fieldpath.NewSet(fieldpath.MakePathOrDie("groups")),
	}
}

func (userStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	user := obj.(*userv1.User)
	errs := registry.ValidateMetadata(&user.ObjectMeta, false, validateUserName)
	for i, identity := range user.Identities {
		errs = append(errs, registry.Problems(field.NewPath("identities").Index(i), identity, identityNameProblems)...)
	}
	return errs
}

func (s userStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*userv1.User).ObjectMeta, &old.(*userv1.User).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}

var userDocs = userv1.User{}.SwaggerDoc()

var userTable = &registry.Table[*userv1.User]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("UID", metav1.ObjectMeta{}.SwaggerDoc()["uid"]),
		registry.Column("Full Name", userDocs["fullName"]),
		registry.Column("Identities", userDocs["identities"]),
	},
	Cells: func(user *userv1.User) []any {
		return []any{user.Name, string(user.UID), user.FullName, strings.Join(user.Identities, ", ")}
	},
}
