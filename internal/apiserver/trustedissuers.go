package apiserver

import (
	"context"
	"net/http"
	"slices"

	"k8s.io/client-go/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/livecheck"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/trustedissuer"
	"github.com/mintmark/mintmark/internal/view"
)

// trustedIssuers is what the storage of trustedissuers needs to know.
func trustedIssuers(trusted *trustedissuer.Issuers, keys *keys, union *authn.Union, authorizer *authz.Authorizer) mintmark.TrustedIssuers {
	return mintmark.TrustedIssuers{
		Authorizer: authorizer,
		Elsewhere: func(url string) string {
			switch {
			case slices.Contains(keys.issuers, url):
				return "this server's own issuer (--service-account-issuer), whose tokens are accepted without an object"
			case union.Configured(url):
				return "an issuer of --authentication-config or --oidc-issuer-url already: leave it there, or remove it there first"
			}
			return ""
		},
		Holder:   trusted.Holder,
		Namesake: trusted.Namesake,
	}
}

// newIssuerStatus returns what the controller works on that notes the state of trusted issuers. It writes as any client does.
func newIssuerStatus(trusted *trustedissuer.Issuers, live *livecheck.Checker, handler http.Handler) (*controller.TrustedIssuers, error) {
	client, err := newOwnGroupClient(handler)
	if err != nil {
		return nil, err
	}
	return &controller.TrustedIssuers{
		OnChange: trusted.View.OnChange,
		Names: func() (names []string) {
			for _, key := range trusted.View.Keys(func(view.Key, *mintmarkv1alpha1.TrustedIssuer) bool { return true }) {
				names = append(names, key.Name)
			}
			return names
		},
		Get: func(name string) (*mintmarkv1alpha1.TrustedIssuer, bool) { return trusted.View.Get("", name) },
		Facts: func(name string) (controller.IssuerFacts, bool) {
			facts, ok := trusted.Facts(name)
			return controller.IssuerFacts(facts), ok
		},
		Live: func(issuer *mintmarkv1alpha1.TrustedIssuer) controller.LiveFacts {
			state := live.State(issuer)
			return controller.LiveFacts{Asked: state.Asked, Failure: state.Failure}
		},
		Probe: func(ctx context.Context, issuer *mintmarkv1alpha1.TrustedIssuer) { live.Probe(ctx, issuer) },
		Write: issuerStatusStore{client}.write,
	}, nil
}

// issuerStatusStore writes the statuses of trusted issuers.
type issuerStatusStore struct{ client rest.Interface }

func (s issuerStatusStore) write(ctx context.Context, issuer *mintmarkv1alpha1.TrustedIssuer) error {
	return s.client.Put().Resource("trustedissuers").Name(issuer.Name).SubResource("status").Body(issuer).Do(controller.WithoutBodies(ctx)).Error()
}
