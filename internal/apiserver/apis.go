package apiserver

import (
	"net/http"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/openid"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/registry/authorization"
	"github.com/mintmark/mintmark/internal/registry/certificates"
	"github.com/mintmark/mintmark/internal/registry/coordination"
	"github.com/mintmark/mintmark/internal/registry/core"
	"github.com/mintmark/mintmark/internal/registry/events"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/registry/openshift"
	"github.com/mintmark/mintmark/internal/registry/rbac"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// newGroups returns the API groups, in the order in which /apis lists them.
func newGroups(getter generic.RESTOptionsGetter, eventTTL time.Duration, issuer *tokenrequest.Issuer, reviewer *tokenreview.Reviewer,
	authorizer *authz.Authorizer, roles *authz.Index, own mintmark.Config, openShift *openShift,
) ([]registry.Group, error) {
	coreGroup, err := core.Storage(getter, issuer)
	if err != nil {
		return nil, err
	}
	eventsGroup, err := events.Storage(getter, eventTTL, coreGroup)
	if err != nil {
		return nil, err
	}
	coordinationGroup, err := coordination.Storage(getter)
	if err != nil {
		return nil, err
	}
	certificatesGroup, err := certificates.Storage(getter)
	if err != nil {
		return nil, err
	}
	rbacGroup, err := rbac.Storage(getter, rbac.EscalationCheck{Index: roles, Authorizer: authorizer})
	if err != nil {
		return nil, err
	}
	ownGroup, err := mintmark.Storage(getter, own)
	if err != nil {
		return nil, err
	}
	groups := []registry.Group{
		coreGroup,
		eventsGroup,
		authentication.Storage(reviewer),
		authorization.Storage(authorizer),
		certificatesGroup,
		rbacGroup,
		coordinationGroup,
		ownGroup,
	}
	if openShift == nil {
		return groups, nil
	}
	further, err := openshift.Storage(getter, coreGroup, openShift.reviewer)
	return append(groups, further...), err
}

// install serves the API groups, the webhook of kube-apiservers and the issuer's documents.
func install(server *genericapiserver.GenericAPIServer, groups []registry.Group, reviewer *tokenreview.Reviewer, documents *openid.Documents) error {
	// The index of paths is for /: elsewhere a path that isn't there is just that.
	server.Handler.NonGoRestfulMux.NotFoundHandler(http.NotFoundHandler())
	var infos []*genericapiserver.APIGroupInfo
	for _, group := range groups {
		if group.Version.Group != corev1.GroupName {
			infos = append(infos, installable(group))
			continue
		}
		if err := server.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, installable(group)); err != nil {
			return err
		}
	}
	if err := server.InstallAPIGroups(infos...); err != nil {
		return err
	}
	// They are not part of the API, so the index of paths doesn't name them.
	server.Handler.NonGoRestfulMux.UnlistedHandle(authentication.WebhookPath, authentication.NewWebhook(reviewer))
	for _, group := range groups {
		if group.Version == mintmarkv1alpha1.SchemeGroupVersion {
			server.Handler.NonGoRestfulMux.UnlistedHandle(mintmark.RevokePath, mintmark.NewRevoke(group))
		}
	}
	if documents != nil {
		documents.Install(server.Handler.GoRestfulContainer)
	}
	return nil
}

// installable is a group as the generic server takes it.
func installable(group registry.Group) *genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(group.Version.Group, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	info.NegotiatedSerializer = scheme.SerializerFor(group.Version)
	info.VersionedResourcesStorageMap[group.Version.Version] = group.Resources
	return &info
}

// newDocuments returns the issuer's documents. An issuer that has none can still issue: then they are nil.
func newDocuments(jwksURI, address string, keys *keys) *openid.Documents {
	documents, err := openid.New(openid.Config{Issuer: keys.issuers[0], JWKSURI: jwksURI, ExternalAddress: address, Keys: keys.ring})
	if err != nil {
		klog.Background().Info("The issuer's documents are not served: relying parties can't discover this issuer", "issuer", keys.issuers[0], "reason", err.Error())
		return nil
	}
	return documents
}
