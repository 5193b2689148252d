package apiserver

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/openid"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
)

// installAPIs serves the API groups.
func (s *Server) installAPIs(storage generic.RESTOptionsGetter) error {
	core, err := registry.Core(storage)
	if err != nil {
		return err
	}
	core["serviceaccounts/token"] = registry.NewTokenRequests(s.issuer)
	coreGroup := newGroup(corev1.GroupName)
	coreGroup.VersionedResourcesStorageMap[corev1.SchemeGroupVersion.Version] = core
	if err := s.generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, &coreGroup); err != nil {
		return err
	}
	authentication := newGroup(authenticationv1.GroupName)
	authentication.VersionedResourcesStorageMap[authenticationv1.SchemeGroupVersion.Version] = map[string]rest.Storage{
		"tokenreviews":       registry.NewTokenReviews(s.reviewer),
		"selfsubjectreviews": registry.NewSelfSubjectReviews(),
	}
	authorization := newGroup(authorizationv1.GroupName)
	authorization.VersionedResourcesStorageMap[authorizationv1.SchemeGroupVersion.Version] = registry.AccessReviews(s.authorizer)
	roles, err := registry.RBAC(storage, registry.Guard{Index: s.roles, Authorizer: s.authorizer})
	if err != nil {
		return err
	}
	rbac := newGroup(rbacv1.GroupName)
	rbac.VersionedResourcesStorageMap[rbacv1.SchemeGroupVersion.Version] = roles
	if err := s.generic.InstallAPIGroups(&authentication, &authorization, &rbac); err != nil {
		return err
	}
	if s.cfg.OpenShift {
		return s.installOpenShift(storage, core["serviceaccounts"].(rest.Getter))
	}
	return nil
}

func newGroup(name string) genericapiserver.APIGroupInfo {
	group := genericapiserver.NewDefaultAPIGroupInfo(name, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	group.NegotiatedSerializer = scheme.Serializer
	return group
}

// installDocuments serves the issuer's documents. An issuer that has none can still issue.
func (s *Server) installDocuments() {
	documents, err := openid.New(openid.Config{
		Issuer:          s.keys.issuers[0],
		KeySetURL:       s.cfg.Tokens.KeySetURL,
		ExternalAddress: s.address,
		Keys:            s.keys.accepted,
	})
	if err != nil {
		klog.Background().Info("The issuer's documents are not served: relying parties can't discover this issuer", "issuer", s.keys.issuers[0], "reason", err.Error())
		return
	}
	documents.Install(s.generic.Handler.GoRestfulContainer)
}
