package openshift

import (
	"context"
	"regexp"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/registry"
)

// newAuthorizeTokens returns the storage of oauthauthorizetokens: codes that a client trades for a token.
func newAuthorizeTokens(getter generic.RESTOptionsGetter, clients clients) (*genericregistry.Store, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthauthorizetokens",
		Singular:  "oauthauthorizetoken",
		NewObject: func() runtime.Object { return &oauthv1.OAuthAuthorizeToken{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthAuthorizeTokenList{} },
		Strategy:  authorizeTokenStrategy{commonStrategy, clients},
		Table:     authorizeTokenTable,
		Attrs: registry.Selectable(func(token *oauthv1.OAuthAuthorizeToken, set fields.Set) {
			set["clientName"] = token.ClientName
			set["userName"] = token.UserName
			set["userUID"] = token.UserUID
		}),
		ReturnsDeleted: true,
	})
	if err != nil {
		return nil, err
	}
	store.TTLFunc = leases(func(token *oauthv1.OAuthAuthorizeToken) int64 { return token.ExpiresIn })
	return store, nil
}

type authorizeTokenStrategy struct {
	strategy
	clients clients
}

// Validate checks a new code, and in the end whether its client may have it.
func (s authorizeTokenStrategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	token := obj.(*oauthv1.OAuthAuthorizeToken)
	errs := validation.ValidateObjectMeta(&token.ObjectMeta, false, validateTokenName, metadataPath)
	errs = append(errs, validateClientName(token.ClientName)...)
	errs = append(errs, validateGrantee(token.UserName)...)
	errs = append(errs, validateScopes(token.Scopes, scopesPath)...)
	errs = append(errs, required(userUIDPath, token.UserUID)...)
	errs = append(errs, validateRedirectURI(token.RedirectURI, redirectURIPath)...)
	errs = append(errs, validateChallenge(token.CodeChallenge, token.CodeChallengeMethod)...)
	if token.ExpiresIn <= 0 {
		errs = append(errs, field.Invalid(expiresInPath, token.ExpiresIn, "must be greater than zero"))
	}
	errs = append(errs, validateLife(token.ExpiresIn)...)
	return append(errs, s.clients.check(ctx, token.ClientName, token.Scopes)...)
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

var authorizeTokenDocs = oauthv1.OAuthAuthorizeToken{}.SwaggerDoc()

var authorizeTokenTable = &registry.Table[*oauthv1.OAuthAuthorizeToken]{
	Columns: append([]metav1.TableColumnDefinition{
		registry.NameColumn,
		nameOf("User Name", authorizeTokenDocs["userName"]),
	}, tokenColumns(authorizeTokenDocs)...),
	Cells: func(token *oauthv1.OAuthAuthorizeToken) []any {
		return append([]any{token.Name, token.UserName},
			tokenCells(token.ClientName, token.CreationTimestamp, token.ExpiresIn, token.RedirectURI, token.Scopes)...)
	},
}
