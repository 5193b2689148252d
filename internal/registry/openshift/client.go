package openshift

import (
	"context"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addClients(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthclients",
		Singular:  "oauthclient",
		NewObject: func() runtime.Object { return &oauthv1.OAuthClient{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthClientList{} },
		Strategy:  clientStrategy{commonStrategy},
		Table:     rest.NewDefaultTableConvertor(oauthv1.Resource("oauthclients")),
		Attrs:     registry.Selectable[*oauthv1.OAuthClient](nil),
	})
	if err != nil {
		return err
	}
	served["oauthclients"] = store
	return nil
}

type clientStrategy struct{ strategy }

func (clientStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*oauthv1.OAuthClient).ObjectMeta, false, validation.NameIsDNSSubdomain)
}

func (s clientStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*oauthv1.OAuthClient).ObjectMeta, &old.(*oauthv1.OAuthClient).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}
