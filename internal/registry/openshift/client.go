package openshift

import (
	"context"
	"fmt"
	"strings"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/registry"
)

// minInactivityTimeout is oauth.MinIdleWindow in seconds.
const minInactivityTimeout = int32(oauth.MinIdleWindow / time.Second)

func newClients(getter generic.RESTOptionsGetter) (*genericregistry.Store, error) {
	return registry.NewStore(getter, registry.Definition{
		Group:     oauthv1.GroupName,
		Plural:    "oauthclients",
		Singular:  "oauthclient",
		NewObject: func() runtime.Object { return &oauthv1.OAuthClient{} },
		NewList:   func() runtime.Object { return &oauthv1.OAuthClientList{} },
		Strategy:  clientStrategy{commonStrategy},
		Table:     clientTable,
		Attrs:     registry.Selectable[*oauthv1.OAuthClient](nil),
	})
}

type clientStrategy struct{ strategy }

// Validate checks a client.
func (clientStrategy) Validate(_ context.Context, obj runtime.Object) field.ErrorList {
	client := obj.(*oauthv1.OAuthClient)
	errs := validation.ValidateObjectMeta(&client.ObjectMeta, false, validation.NameIsDNSSubdomain, metadataPath)
	for i, uri := range client.RedirectURIs {
		errs = append(errs, validateRedirectURI(uri, field.NewPath("redirectURIs").Index(i))...)
	}
	for i, secret := range client.AdditionalSecrets {
		if secret == "" {
			errs = append(errs, field.Invalid(field.NewPath("additionalSecrets").Index(i), "", "may not be empty"))
		}
	}
	for i := range client.ScopeRestrictions {
		errs = append(errs, validateRestriction(&client.ScopeRestrictions[i], field.NewPath("scopeRestrictions").Index(i))...)
	}
	errs = append(errs, validateTimes(client)...)
	return append(errs, validateGrantMethod(client.GrantMethod)...)
}

// ValidateUpdate checks a changed client like a new one.
func (s clientStrategy) ValidateUpdate(ctx context.Context, obj, old runtime.Object) field.ErrorList {
	return append(s.Validate(ctx, obj),
		validation.ValidateObjectMetaUpdate(&obj.(*oauthv1.OAuthClient).ObjectMeta, &old.(*oauthv1.OAuthClient).ObjectMeta, metadataPath)...)
}

// validateRestriction checks that a restriction is of one kind, and admits something.
func validateRestriction(restriction *oauthv1.ScopeRestriction, at *field.Path) field.ErrorList {
	role := restriction.ClusterRole
	if (len(restriction.ExactValues) > 0) == (role != nil) {
		return field.ErrorList{field.Invalid(at, restriction, "exactly one of literals, clusterRole is required")}
	}
	var errs field.ErrorList
	for i, literal := range restriction.ExactValues {
		if literal == "" {
			errs = append(errs, field.Invalid(at.Child("literals").Index(i), literal, "may not be empty"))
		}
	}
	if role != nil && len(role.RoleNames) == 0 {
		errs = append(errs, field.Required(at.Child("clusterRole", "roleNames"), "won't match anything"))
	}
	if role != nil && len(role.Namespaces) == 0 {
		errs = append(errs, field.Required(at.Child("clusterRole", "namespaces"), "won't match anything"))
	}
	return errs
}

// validateTimes checks how long tokens of a client live, and how long they live unused.
func validateTimes(client *oauthv1.OAuthClient) field.ErrorList {
	var errs field.ErrorList
	if age := client.AccessTokenMaxAgeSeconds; age != nil && *age < 0 {
		errs = append(errs, field.Invalid(field.NewPath("accessTokenMaxAgeSeconds"), *age, "value cannot be negative"))
	}
	timeout, at := client.AccessTokenInactivityTimeoutSeconds, field.NewPath("accessTokenInactivityTimeoutSeconds")
	switch {
	case timeout == nil:
	case *timeout < 0:
		errs = append(errs, field.Invalid(at, *timeout, "value cannot be negative"))
	case *timeout > 0 && *timeout < minInactivityTimeout:
		errs = append(errs, field.Invalid(at, *timeout, fmt.Sprintf("The minimum valid timeout value is %d seconds", minInactivityTimeout)))
	}
	return errs
}

// validateGrantMethod refuses the method "deny" as well, since such a client could get no token.
func validateGrantMethod(method oauthv1.GrantHandlerType) field.ErrorList {
	at := field.NewPath("grantMethod")
	switch method {
	case oauthv1.GrantHandlerAuto, oauthv1.GrantHandlerPrompt:
		return nil
	case "":
		return field.ErrorList{field.Required(at, "must be auto or prompt")}
	}
	return field.ErrorList{field.NotSupported(at, method, []oauthv1.GrantHandlerType{oauthv1.GrantHandlerAuto, oauthv1.GrantHandlerPrompt})}
}

var clientDocs = oauthv1.OAuthClient{}.SwaggerDoc()

var clientTable = &registry.Table[*oauthv1.OAuthClient]{
	Columns: []metav1.TableColumnDefinition{
		registry.NameColumn,
		registry.Column("Secret", clientDocs["secret"]),
		{Name: "WWW-Challenge", Type: "bool", Description: clientDocs["respondWithChallenges"]},
		registry.Column("Token-Max-Age", clientDocs["accessTokenMaxAgeSeconds"]),
		registry.Column("Redirect URIs", clientDocs["redirectURIs"]),
	},
	Cells: func(client *oauthv1.OAuthClient) []any {
		age := "default"
		if seconds := client.AccessTokenMaxAgeSeconds; seconds != nil && *seconds == 0 {
			age = "unexpiring"
		} else if seconds != nil {
			age = (time.Duration(*seconds) * time.Second).String()
		}
		return []any{client.Name, client.Secret, client.RespondWithChallenges, age, strings.Join(client.RedirectURIs, ",")}
	},
}
