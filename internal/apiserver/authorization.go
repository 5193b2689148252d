package apiserver

import (
	"slices"
	"time"

	"k8s.io/apiserver/pkg/admission"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"

	mintmarkadmission "github.com/mintmark/mintmark/internal/admission"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/boundobject"
)

// authorizationConfig is what the authorizer, which both ways into the server ask, and the default roles are made from.
func authorizationConfig(cfg Config, own *keys, index *boundobject.Index, roles *authz.Index) authz.Config {
	nodes := authz.NewNodeRelations()
	if slices.ContainsFunc(cfg.Authorizers, func(a apiserverapi.AuthorizerConfiguration) bool { return a.Type == authz.ModeNode }) {
		// They take as much memory as all else that is kept of pods.
		index.Pods.OnChange(nodes.Changed)
	}
	return authz.Config{
		Authorizers:  cfg.Authorizers,
		Index:        roles,
		Nodes:        nodes,
		PublicIssuer: cfg.Authentication.PublicIssuer,
		OpenShift:    cfg.OpenShift,
		Issuers:      own.issuers,
	}
}

// newAdmission returns the checks of what is about to be carried out.
func newAdmission(nodeRestriction bool, now func() time.Time, index *boundobject.Index, authorizer *authz.Authorizer) admission.Interface {
	plugins := []admission.Interface{mintmarkadmission.NamespaceLifecycle{Namespaces: index.Namespaces}}
	plugins = append(plugins, mintmarkadmission.NodeBootstrap{Secrets: index.Secrets, Now: now})
	if nodeRestriction {
		plugins = append(plugins, mintmarkadmission.NodeRestriction{
			Pods: index.Pods, Nodes: index.Nodes, Authorizer: authorizer,
		})
	}
	plugins = append(plugins,
		mintmarkadmission.CertificateApproval{Authorizer: authorizer},
		mintmarkadmission.CertificateSigning{Authorizer: authorizer},
		mintmarkadmission.CertificateSubjectRestriction{})
	return admission.NewChainHandler(plugins...)
}
