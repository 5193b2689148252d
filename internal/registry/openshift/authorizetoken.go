package openshift

import (
	"context"
	"regexp"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

// newAuthorizeTokens returns the storage of oauthauthorizetokens: codes that a client trades for a token.
func newAuthorizeTokens(getter generic.RESTOptionsGetter, clients clients) (*genericregistry.Store, error) {
	return newTokenStore(getter, registry.Definition{
		Plural:    "oauthauthorizetokens",
		Singular:  "oauthauthorizetoken",
		NewObject: func() runtime.Object { return &oauthv1.OAuthAuthorizeToken{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthAuthorizeTokenList{} },
		Strategy:  authorizeTokenStrategy{tokenStrategy{commonStrategy, clients}},
		Table:     tokenTable(oauthv1.OAuthAuthorizeToken{}.SwaggerDoc(), authorizeGrant),
	}, authorizeGrant, nil)
}

func authorizeGrant(token *oauthv1.OAuthAuthorizeToken) grant {
	return grant{
		meta: &token.ObjectMeta, client: token.ClientName, user: token.UserName, userUID: token.UserUID,
		scopes: token.Scopes, redirectURI: token.RedirectURI, expiresIn: token.ExpiresIn,
	}
}

type authorizeTokenStrategy struct{ tokenStrategy }

// Validate checks a new code.
func (s authorizeTokenStrategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	token := obj.(*oauthv1.OAuthAuthorizeToken)
	errs := validateRedirectURI(token.RedirectURI, redirectURIPath)
	errs = append(errs, validateChallenge(token.CodeChallenge, token.CodeChallengeMethod)...)
	if token.ExpiresIn <= 0 {
		errs = append(errs, field.Invalid(expiresInPath, token.ExpiresIn, "must be greater than zero"))
	}
	return s.validate(ctx, authorizeGrant(token), errs)
}

// ValidateUpdate lets nothing change but the metadata.
func (authorizeTokenStrategy) ValidateUpdate(_ context.Context, obj, old runtime.Object) field.ErrorList {
	token, before := obj.(*oauthv1.OAuthAuthorizeToken), old.(*oauthv1.OAuthAuthorizeToken)
	errs := validation.ValidateObjectMetaUpdate(&token.ObjectMeta, &before.ObjectMeta, metadataPath)
	expected := *before
	expected.TypeMeta, expected.ObjectMeta = token.TypeMeta, token.ObjectMeta
	if !equality.Semantic.DeepEqual(token, &expected) {
		errs = append(errs, immutable())
	}
	return errs
}

var (
	codeChallengePath       = field.NewPath("codeChallenge")
	codeChallengeMethodPath = field.NewPath("codeChallengeMethod")
	codeChallengeForm       = regexp.MustCompile(`^[a-zA-Z0-9._~-]{43,128}$`)
)

// validateChallenge checks a proof key (RFC 7636 section 4.2). There may be none.
func validateChallenge(challenge, method string) field.ErrorList {
	if challenge == "" && method == "" {
		return nil
	}
	var errs field.ErrorList
	switch {
	case challenge == "":
		errs = append(errs, field.Required(codeChallengePath, "required if codeChallengeMethod is specified"))
	case !codeChallengeForm.MatchString(challenge):
		errs = append(errs, field.Invalid(codeChallengePath, challenge, "must be 43-128 characters [a-zA-Z0-9.~_-]"))
	}
	switch method {
	case "":
		errs = append(errs, field.Required(codeChallengeMethodPath, "required if codeChallenge is specified"))
	case "plain", "S256":
	default:
		errs = append(errs, field.NotSupported(codeChallengeMethodPath, method, []string{"plain", "S256"}))
	}
	return errs
}
