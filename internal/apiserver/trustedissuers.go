package apiserver

import (
	"slices"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/authz"
	"github.com/mintmark/mintmark/internal/registry/mintmark"
)

// trustedIssuers is what the storage of trustedissuers needs to know.
func trustedIssuers(keys *keys, union *authn.Union, authorizer *authz.Authorizer) mintmark.TrustedIssuers {
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
	}
}
