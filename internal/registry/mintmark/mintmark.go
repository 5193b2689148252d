// Package mintmark provides the REST storage of mintmark.io, our own API group. Each resource has a file.
package mintmark

import (
	"k8s.io/apiserver/pkg/registry/generic"
	"k8s.io/apiserver/pkg/registry/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/registry"
)

// Config is what the resources need of the rest of the server.
type Config struct {
	SigningKeys    SigningKeys
	Revocations    Revocations
	Explainer      Explainer
	TrustedIssuers TrustedIssuers
	Reviewer       Reviewer
	Feed           Feed
}

// Storage returns the API group mintmark.io.
func Storage(getter generic.RESTOptionsGetter, cfg Config) (registry.Group, error) {
	keys, err := newSigningKeys(getter, cfg.SigningKeys)
	if err != nil {
		return registry.Group{}, err
	}
	revocations, err := newTokenRevocations(getter, cfg.Revocations)
	if err != nil {
		return registry.Group{}, err
	}
	issuers, issuerStatus, err := newTrustedIssuers(getter, cfg.TrustedIssuers)
	if err != nil {
		return registry.Group{}, err
	}
	return registry.Group{Version: mintmarkv1alpha1.SchemeGroupVersion, Resources: map[string]rest.Storage{
		"signingkeys":           keys,
		"tokenrevocations":      revocations,
		"tokenexplanations":     newTokenExplanations(cfg.Explainer),
		"tokenreviewevents":     newTokenReviewEvents(cfg.Feed),
		"trustedissuers":        issuers,
		"trustedissuers/status": issuerStatus,
		"tokenreviewlists":      newTokenReviewLists(cfg.Reviewer),
	}}, nil
}
