package openshift

import (
	"context"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
)

func addAccessTokens(getter generic.RESTOptionsGetter, served map[string]rest.Storage) error {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthaccesstokens",
		Singular:  "oauthaccesstoken",
		NewObject: func() runtime.Object { return &oauthv1.OAuthAccessToken{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthAccessTokenList{} },
		Strategy:  accessTokenStrategy{commonStrategy},
		Table:     rest.NewDefaultTableConvertor(oauthv1.Resource("oauthaccesstokens")),
		Attrs: registry.Selectable(func(token *oauthv1.OAuthAccessToken, set fields.Set) {
			set["clientName"] = token.ClientName
			set["userName"] = token.UserName
			set["userUID"] = token.UserUID
			set["authorizeToken"] = token.AuthorizeToken
		}),
		ReturnsDeleted: true,
	})
	if err != nil {
		return err
	}
	served["oauthaccesstokens"] = store
	return nil
}

type accessTokenStrategy struct{ strategy }

func (accessTokenStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	return registry.ValidateMetadata(&obj.(*oauthv1.OAuthAccessToken).ObjectMeta, false, func(name string, _ bool) []string {
		return content.IsPathSegmentName(name)
	})
}

func (s accessTokenStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	errs := registry.ValidateMetadataUpdate(&obj.(*oauthv1.OAuthAccessToken).ObjectMeta, &old.(*oauthv1.OAuthAccessToken).ObjectMeta)
	return append(errs, s.Validate(ctx, obj)...)
}
