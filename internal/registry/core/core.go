// Package core provides the REST storage of the core API: Namespace, ServiceAccount with its token subresource
// (TokenRequest), Secret, ConfigMap, Pod and Node.
//
// Each resource has a file with its storage, its strategy (which fields are set, kept and refused when an object is
// created or changed) and its table. Validation errors are part of the API and have Kubernetes' text to the letter.
// Pod and Node objects only record that a workload or a machine exists; Mintmark doesn't run or schedule anything. Their
// validation covers common mistakes, and whatever concerns tokens.
package core

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// Storage returns the core API group.
func Storage(getter generic.RESTOptionsGetter, issuer *tokenrequest.Issuer) (registry.Group, error) {
	served := map[string]rest.Storage{"serviceaccounts/token": NewTokenRequests(issuer)}
	for _, add := range []func(generic.RESTOptionsGetter, map[string]rest.Storage) error{
		addNamespaces, addServiceAccounts, addSecrets, addConfigMaps, addPods, addNodes,
	} {
		if err := add(getter, served); err != nil {
			return registry.Group{}, err
		}
	}
	return registry.Group{Version: corev1.SchemeGroupVersion, Resources: served}, nil
}
