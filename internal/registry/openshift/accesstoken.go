package openshift

import (
	"context"
	"fmt"
	"strings"
	"time"

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

// newAccessTokens returns the storage of oauthaccesstokens.
func newAccessTokens(getter generic.RESTOptionsGetter, clients clients) (*genericregistry.Store, error) {
	store, err := registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthaccesstokens",
		Singular:  "oauthaccesstoken",
		NewObject: func() runtime.Object { return &oauthv1.OAuthAccessToken{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthAccessTokenList{} },
		Strategy:  accessTokenStrategy{commonStrategy, clients},
		Table:     accessTokenTable,
		Attrs: registry.Selectable(func(token *oauthv1.OAuthAccessToken, set fields.Set) {
			set["clientName"] = token.ClientName
			set["userName"] = token.UserName
			set["userUID"] = token.UserUID
			set["authorizeToken"] = token.AuthorizeToken
		}),
		ReturnsDeleted: true,
	})
	if err != nil {
		return nil, err
	}
	store.TTLFunc = leases(func(token *oauthv1.OAuthAccessToken) int64 { return token.ExpiresIn })
	return store, nil
}

type accessTokenStrategy struct {
	strategy
	clients clients
}

// Validate checks a new token, and in the end whether its client may have it.
func (s accessTokenStrategy) Validate(ctx context.Context, obj runtime.Object) field.ErrorList {
	token := obj.(*oauthv1.OAuthAccessToken)
	errs := validation.ValidateObjectMeta(&token.ObjectMeta, false, validateTokenName, metadataPath)
	errs = append(errs, validateClientName(token.ClientName)...)
	errs = append(errs, validateGrantee(token.UserName)...)
	errs = append(errs, validateScopes(token.Scopes, scopesPath)...)
	errs = append(errs, required(userUIDPath, token.UserUID)...)
	errs = append(errs, notNegative(inactivityTimeoutPath, token.InactivityTimeoutSeconds)...)
	errs = append(errs, validateRedirectURI(token.RedirectURI, redirectURIPath)...)
	errs = append(errs, notNegative(expiresInPath, token.ExpiresIn)...)
	errs = append(errs, validateLife(token.ExpiresIn)...)
	return append(errs, s.clients.check(ctx, token.ClientName, token.Scopes)...)
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

var accessTokenTable = &registry.Table[*oauthv1.OAuthAccessToken]{
	Columns: append([]metav1.TableColumnDefinition{
		registry.NameColumn,
		nameOf("User Name", accessTokenDocs["userName"]),
	}, tokenColumns(accessTokenDocs)...),
	Cells: func(token *oauthv1.OAuthAccessToken) []any {
		return append([]any{token.Name, token.UserName},
			tokenCells(token.ClientName, token.CreationTimestamp, token.ExpiresIn, token.RedirectURI, token.Scopes)...)
	},
}

// nameOf is a column with the names of other objects.
func nameOf(name, description string) metav1.TableColumnDefinition {
	column := registry.Column(name, description)
	column.Format = "name"
	return column
}

// tokenColumns are those that tokens of all kinds have in common.
func tokenColumns(docs map[string]string) []metav1.TableColumnDefinition {
	return []metav1.TableColumnDefinition{
		nameOf("Client Name", docs["clientName"]),
		registry.Column("Created", metav1.ObjectMeta{}.SwaggerDoc()["creationTimestamp"]),
		registry.Column("Expires", docs["expiresIn"]),
		registry.Column("Redirect URI", docs["redirectURI"]),
		registry.Column("Scopes", docs["scopes"]),
	}
}

func tokenCells(client string, created metav1.Time, expiresIn int64, redirectURI string, scopes []string) []any {
	expires := "never"
	if expiresIn > 0 {
		expires = created.Add(time.Duration(min(expiresIn, maxExpiresIn)) * time.Second).UTC().String()
	}
	return []any{client, registry.Age(created), expires, redirectURI, strings.Join(scopes, ",")}
}
