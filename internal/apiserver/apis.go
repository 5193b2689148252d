package apiserver

import (
	"k8s.io/apiserver/pkg/registry/generic"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/openid"
	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/registry/authentication"
	"github.com/mintmark/mintmark/internal/registry/authorization"
	"github.com/mintmark/mintmark/internal/registry/core"
	"github.com/mintmark/mintmark/internal/registry/openshift"
	"github.com/mintmark/mintmark/internal/registry/rbac"
	"github.com/mintmark/mintmark/internal/scheme"
)

// installAPIs serves the API groups.
func (s *Server) installAPIs(storage generic.RESTOptionsGetter) error {
	coreGroup, err := core.Storage(storage, s.issuer)
	if err != nil {
		return err
	}
	rbacGroup, err := rbac.Storage(storage, rbac.EscalationCheck{Index: s.roles, Authorizer: s.authorizer})
	if err != nil {
		return err
	}
	groups := []registry.Group{authentication.Storage(s.reviewer), authorization.Storage(s.authorizer), rbacGroup}
	if s.cfg.OpenShift {
		openShiftGroups, err := openshift.Storage(storage, coreGroup, s.openShiftReviewer)
		if err != nil {
			return err
		}
		groups = append(groups, openShiftGroups...)
	}
	if err := s.generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, installable(coreGroup)); err != nil {
		return err
	}
	infos := make([]*genericapiserver.APIGroupInfo, len(groups))
	for i, group := range groups {
		infos[i] = installable(group)
	}
	return s.generic.InstallAPIGroups(infos...)
}

// installable is a group as the generic server takes it.
func installable(group registry.Group) *genericapiserver.APIGroupInfo {
	info := genericapiserver.NewDefaultAPIGroupInfo(group.Version.Group, scheme.Scheme, scheme.ParameterCodec, scheme.Codecs)
	info.NegotiatedSerializer = scheme.Serializer
	info.VersionedResourcesStorageMap[group.Version.Version] = group.Resources
	return &info
}

// installDocuments serves the issuer's documents. An issuer that has none can still issue.
func (s *Server) installDocuments() {
	documents, err := openid.New(openid.Config{
		Issuer:          s.keys.issuers[0],
		JWKSURI:         s.cfg.Tokens.JWKSURI,
		ExternalAddress: s.address,
		Keys:            s.keys.accepted,
	})
	if err != nil {
		klog.Background().Info("The issuer's documents are not served: relying parties can't discover this issuer", "issuer", s.keys.issuers[0], "reason", err.Error())
		return
	}
	documents.Install(s.generic.Handler.GoRestfulContainer)
}
