package openshift

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"

	oauthv1 "github.com/openshift/api/oauth/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validate/content"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
)

// Prefixes of the annotations that make a service account a client. The rest of the annotation's name tells which
// annotations belong to the same redirect.
const (
	redirectURIPrefix       = "serviceaccounts.openshift.io/oauth-redirecturi."
	redirectReferencePrefix = "serviceaccounts.openshift.io/oauth-redirectreference."
)

var clientNamePath = field.NewPath("clientName")

// clients looks up the clients that get tokens for users: OAuthClients, and service accounts with a redirect URI. They are
// read from the storage, since the scopes that they may ask for can be narrowed at any time.
type clients struct {
	stored   rest.Getter
	accounts rest.Getter
}

// check says why a client may not get a token with some scopes.
func (c clients) check(ctx context.Context, name string, scopes []string) field.ErrorList {
	client, err := c.get(ctx, name)
	if err == nil {
		err = checkRestrictions(client, scopes)
	}
	if err != nil {
		return field.ErrorList{field.InternalError(clientNamePath, err)}
	}
	return nil
}

func (c clients) get(ctx context.Context, name string) (*oauthv1.OAuthClient, error) {
	if namespace, account, err := serviceaccount.SplitUsername(name); err == nil {
		return c.account(ctx, name, namespace, account)
	}
	if name == "" {
		return nil, errors.New("resource name may not be empty")
	}
	if problems := content.IsPathSegmentName(name); len(problems) != 0 {
		return nil, fmt.Errorf("invalid resource name %q: %v", name, problems)
	}
	obj, err := c.stored.Get(about(ctx, oauthv1.Resource("oauthclients")), name, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	client, ok := obj.(*oauthv1.OAuthClient)
	if !ok {
		return nil, fmt.Errorf("a %T is no client", obj)
	}
	return client, nil
}

// about makes a context for a question of our own: the storage takes the resource that its errors name from the request.
func about(ctx context.Context, resource schema.GroupResource) context.Context {
	return genericapirequest.WithRequestInfo(ctx, &genericapirequest.RequestInfo{
		IsResourceRequest: true, Verb: "get", APIGroup: resource.Group, Resource: resource.Resource,
	})
}

// account is a service account as a client: it may ask who the user is and what the user may do, and for roles in its own
// namespace.
func (c clients) account(ctx context.Context, name, namespace, account string) (*oauthv1.OAuthClient, error) {
	ctx = about(genericapirequest.WithNamespace(ctx, namespace), corev1.Resource("serviceaccounts"))
	obj, err := c.accounts.Get(ctx, account, &metav1.GetOptions{})
	if err != nil {
		return nil, err
	}
	sa, ok := obj.(*corev1.ServiceAccount)
	if !ok {
		return nil, fmt.Errorf("a %T is no service account", obj)
	}
	if !hasRedirect(sa.Annotations) {
		return nil, fmt.Errorf("%s has no redirectURIs; set %s<some-value>=<redirect> or create a dynamic URI using %s<some-value>=<reference>",
			name, redirectURIPrefix, redirectReferencePrefix)
	}
	return &oauthv1.OAuthClient{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		ScopeRestrictions: []oauthv1.ScopeRestriction{
			{ExactValues: []string{scopeInfo, scopeCheckAccess, scopeListScopedProjects, scopeListProjects}},
			{ClusterRole: &oauthv1.ClusterRoleScopeRestriction{
				RoleNames: []string{anything}, Namespaces: []string{namespace}, AllowEscalation: true,
			}},
		},
	}, nil
}

// hasRedirect reports whether annotations name a URI to which users are sent back. One that only changes what a Route says
// is none here, where there are no Routes.
func hasRedirect(annotations map[string]string) bool {
	for key, value := range annotations {
		id, ok := strings.CutPrefix(key, redirectURIPrefix)
		if !ok || isReference(annotations[redirectReferencePrefix+id]) {
			continue
		}
		if uri, err := url.Parse(value); err == nil && uri.Scheme != "" && uri.Hostname() != "" {
			return true
		}
	}
	return false
}

// isReference reports whether an annotation refers to a Route. What isn't well-formed is ignored.
func isReference(text string) bool {
	var reference oauthv1.OAuthRedirectReference
	if text == "" || json.Unmarshal([]byte(text), &reference) != nil {
		return false
	}
	to := reference.Reference
	return reference.Kind == "OAuthRedirectReference" &&
		(reference.APIVersion == "v1" || reference.APIVersion == oauthv1.GroupVersion.String()) &&
		to.Kind == "Route" && (to.Group == "" || to.Group == "route.openshift.io") &&
		to.Name != "" && len(content.IsPathSegmentName(to.Name)) == 0
}
