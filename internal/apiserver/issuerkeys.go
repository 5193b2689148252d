package apiserver

import (
	"context"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/trustedissuer"
	"github.com/mintmark/mintmark/internal/view"
)

// waitingShare is the part of the requests that are answered at a time which may wait for keys of issuers.
const waitingShare = 3

// newTrustedIssuers returns the issuers that objects name. Their documents are read from public addresses, and from the networks that
// the operator names.
func newTrustedIssuers(cfg Config, keys *keys) *trustedissuer.Issuers {
	calls := outbound.NewObjectCalls(cfg.Authentication.PrivateIssuers)
	return trustedissuer.New(trustedissuer.Config{
		APIAudiences: keys.audiences,
		OwnIssuers:   keys.issuers,
		Client: func(of *mintmarkv1alpha1.TrustedIssuer) (trustedissuer.Client, error) {
			return calls.NewClient(outbound.ObjectClient{Authorities: of.Spec.CertificateAuthority})
		},
		CacheBytes: trustedVerdicts * cfg.Authentication.CacheBytes,
		Waiting:    cfg.Server.MaxMutatingRequestsInFlight / waitingShare,
	})
}

// trustedVerdicts is how many times the size of other caches of tokens the memory for verdicts about tokens of trusted issuers is:
// there may be thousands of clusters.
const trustedVerdicts = 4

// renewTrustedIssuers has a token of an unknown issuer wait until the view has what another replica may have written. Without other
// replicas, the view has every write before it is acknowledged.
func renewTrustedIssuers(trusted *trustedissuer.Issuers, stored *store, set *view.Set) {
	if stored.shared {
		trusted.RenewWith(func(ctx context.Context) error { return set.Renew(ctx, trusted.View) })
	}
}
