package apiserver

import (
	"context"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/livecheck"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/trustedissuer"
	"github.com/mintmark/mintmark/internal/view"
)

// waitingShare is the part of the requests that are answered at a time which may wait for keys of issuers.
const waitingShare = 3

// newObjectCalls makes the clients of the calls that objects cause: to public addresses, and to the networks that the operator names.
func newObjectCalls(cfg Config) *outbound.ObjectCalls {
	return outbound.NewObjectCalls(cfg.Authentication.PrivateIssuers)
}

// newLiveCheck returns the live check, whose kubeconfigs are in secrets.
func newLiveCheck(cfg Config, calls *outbound.ObjectCalls, index *boundobject.Index) *livecheck.Checker {
	return livecheck.New(livecheck.Config{Secrets: index.Secrets, Calls: calls, CacheBytes: cfg.Authentication.CacheBytes})
}

// newTrustedIssuers returns the issuers that objects name.
func newTrustedIssuers(cfg Config, keys *keys, calls *outbound.ObjectCalls, live *livecheck.Checker) *trustedissuer.Issuers {
	return trustedissuer.New(trustedissuer.Config{
		APIAudiences: keys.audiences,
		OwnIssuers:   keys.issuers,
		Client: func(of *mintmarkv1alpha1.TrustedIssuer) (trustedissuer.Client, error) {
			return calls.NewClient(outbound.ObjectClient{Authorities: of.Spec.CertificateAuthority})
		},
		LiveCheck:  live,
		Now:        cfg.now(),
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
