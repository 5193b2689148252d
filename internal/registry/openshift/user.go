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

func addUsers(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     userv1.GroupName,
		Plural:    "users",
		Singular:  "user",
		NewObject: func() runtime.Object { return &userv1.User{} },
		NewList:   func() runtime.Object { return &userv1.UserList{} },
		Strategy:  userStrategy{commonStrategy},
		Table:     rest.NewDefaultTableConvertor(userv1.Resource("users")),
		Attrs:     registry.Selectable[*userv1.User](nil),
	})
	if err != nil {
		return err
	}
	served["users"] = store
	return nil
}

type userStrategy struct{ strategy }

func (userStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*userv1.User).ObjectMeta, false, func(name string, _ bool) []string {
		return content.IsPathSegmentName(name)
	})
}

func (s userStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*userv1.User).ObjectMeta, &old.(*userv1.User).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}
