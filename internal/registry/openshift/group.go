package openshift

import (
	"context"

	userv1 "github.com/openshift/api/user/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addGroups(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     userv1.GroupName,
		Plural:    "groups",
		Singular:  "group",
		NewObject: func() runtime.Object { return &userv1.Group{} },
		NewList:   func() runtime.Object { return &userv1.GroupList{} },
		Strategy:  groupStrategy{commonStrategy},
		Table:     rest.NewDefaultTableConvertor(userv1.Resource("groups")),
		Attrs:     registry.Selectable[*userv1.Group](nil),
	})
	if err != nil {
		return err
	}
	served["groups"] = store
	return nil
}

type groupStrategy struct{ strategy }

func (groupStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*userv1.Group).ObjectMeta, false, func(name string, _ bool) []string {
		return content.IsPathSegmentName(name)
	})
}

func (s groupStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*userv1.Group).ObjectMeta, &old.(*userv1.Group).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}
