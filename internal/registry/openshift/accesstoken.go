package openshift

import (
	"context"
	"fmt"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

// newAccessTokens returns the storage of oauthaccesstokens.
func newAccessTokens(getter generic.RESTOptionsGetter, clients clients) (*genericregistry.Store, error) {
	return newTokenStore(getter, registry.Definition{
		Plural:    "oauthaccesstokens",
		Singular:  "oauthaccesstoken",
		NewObject: func() runtime.Object { return &oauthv1.OAuthAccessToken{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthAccessTokenList{} },
		Strategy:  accessTokenStrategy{tokenStrategy{commonStrategy, clients}},
		Table:     tokenTable(accessTokenDocs, accessGrant),
	}, accessGrant, func(token *oauthv1.OAuthAccessToken, set fields.Set) {
		set["authorizeToken"] = token.AuthorizeToken
	})
}

func accessGrant(token *oauthv1.OAuthAccessToken) grant {
	return grant{
		meta: &token.ObjectMeta, client: token.ClientName, user: token.UserName, userUID: token.UserUID,
		scopes: token.Scopes, redirectURI: token.RedirectURI, expiresIn: token.ExpiresIn,
	}
}

type accessTokenStrategy struct{ tokenStrategy }

// Validate checks a new token.
func (s accessTokenStrategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	token := obj.(*oauthv1.OAuthAccessToken)
	errs := notNegative(inactivityTimeoutPath, token.InactivityTimeoutSeconds)
	errs = append(errs, validateRedirectURI(token.RedirectURI, redirectURIPath)...)
	errs = append(errs, notNegative(expiresInPath, token.ExpiresIn)...)
	return s.validate(ctx, accessGrant(token), errs)
}

// ValidateUpdate lets nothing change but the metadata and the deadline of the next use.
func (accessTokenStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	token, before := obj.(*oauthv1.OAuthAccessToken), old.(*oauthv1.OAuthAccessToken)
	errs := validation.ValidateObjectMetaUpdate(&token.ObjectMeta, &before.ObjectMeta, metadataPath)
	errs = append(errs, validateInactivityUpdate(token.InactivityTimeoutSeconds, before.InactivityTimeoutSeconds)...)
	expected := *before
	expected.TypeMeta, expected.ObjectMeta = token.TypeMeta, token.ObjectMeta
	expected.InactivityTimeoutSeconds = token.InactivityTimeoutSeconds
	if !equality.Semantic.DeepEqual(token, &expected) {
		errs = append(errs, immutable())
	}
	return errs
}

var inactivityTimeoutPath = field.NewPath("inactivityTimeoutSeconds")

// validateInactivityUpdate checks a change of the deadline of the next use. Several servers move it at the same time, each
// as far as it knows, so it only ever moves forward. A token without a deadline never gets one: 0 is final.
func validateInactivityUpdate(seconds, before int32) field.ErrorList {
	var errs field.ErrorList
	if seconds > 0 && seconds < before {
		errs = append(errs, field.Invalid(inactivityTimeoutPath, seconds, fmt.Sprintf("cannot be less than the current value=%d", before)))
	}
	errs = append(errs, notNegative(inactivityTimeoutPath, seconds)...)
	if before == 0 && seconds != 0 {
		errs = append(errs, field.Invalid(inactivityTimeoutPath, seconds, "cannot update non-timing-out token"))
	}
	return errs
}

func notNegative[T int32 | int64](at *field.Path, value T) field.ErrorList {
	if value < 0 {
		return field.ErrorList{field.Invalid(at, value, "cannot be a negative value")}
	}
	return nil
}

var accessTokenDocs = oauthv1.OAuthAccessToken{}.SwaggerDoc()
