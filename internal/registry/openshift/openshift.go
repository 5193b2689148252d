// Package openshift provides the REST storage of OpenShift's API groups: users, groups, identities and their mappings in
// user.openshift.io, and clients, tokens and authorizations in oauth.openshift.io.
//
// Each resource has a file. Validation errors are part of the API and have the text of OpenShift's own server to the
// letter.
package openshift

import (
	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// Storage returns OpenShift's API groups. The service accounts of the core group are OAuth clients there.
func Storage(getter generic.RESTOptionsGetter, core registry.Group, reviewer *tokenreview.Reviewer) ([]registry.Group, error) {
	oauth, err := oauthResources(getter, core.Resources["serviceaccounts"].(rest.Getter), reviewer)
	if err != nil {
		return nil, err
	}
	users, err := userResources(getter)
	if err != nil {
		return nil, err
	}
	return []registry.Group{
		{Version: oauthv1.GroupVersion, Resources: oauth},
		{Version: userv1.GroupVersion, Resources: users},
	}, nil
}
