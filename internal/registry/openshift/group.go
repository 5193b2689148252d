package openshift

import (
	"context"
	"strings"

	userv1 "github.com/openshift/api/user/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

func newGroupStorage(getter generic.RESTOptionsGetter) (*genericregistry.Store, error) {
	return registry.NewStore(getter, registry.Definition{
		Group:     userv1.GroupName,
		Plural:    "groups",
		Singular:  "group",
		NewObject: func() runtime.Object { return &userv1.Group{} },
		NewList:   func() runtime.Object { return &userv1.GroupList{} },
		Strategy:  groupStrategy{commonStrategy},
		Table:     groupTable,
		Attrs:     registry.Selectable[*userv1.Group](nil),
	})
}

type groupStrategy struct{ strategy }

func (groupStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	group := obj.(*userv1.Group)
	errs := registry.ValidateMetadata(&group.ObjectMeta, false, validateGroupName)
	for i, user := range group.Users {
		// The path is not that of the field, but it is what clients are told.
		at := field.NewPath("user").Index(i)
		if user == "" {
			errs = append(errs, field.Invalid(at, user, "may not be empty"))
			continue
		}
		errs = append(errs, registry.Problems(at, user, func(name string) []string { return validateUserName(name, false) })...)
	}
	return errs
}

func (s groupStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*userv1.Group).ObjectMeta, &old.(*userv1.Group).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}

// validateGroupName allows no colon. The groups that the server gives a meaning have one in their names, so no Group object
// can add users to these.
func validateGroupName(name string, prefix bool) []string {
	if problems := validatePathSegment(name, prefix); len(problems) > 0 {
		return problems
	}
	if strings.Contains(name, ":") {
		return []string{`may not contain ":"`}
	}
	if name == caller {
		return []string{`may not equal "~"`}
	}
	return nil
}

var groupTable = &registry.Table[*userv1.Group]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Users", userv1.Group{}.SwaggerDoc()["users"]),
	},
	Cells: func(group *userv1.Group) []any {
		return []any{group.Name, strings.Join(group.Users, ", ")}
	},
}
