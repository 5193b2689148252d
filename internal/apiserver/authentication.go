package apiserver

import (
	"bytes"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"

	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/dynamiccertificates"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/serviceaccount"
	"github.com/mintmark/mintmark/internal/trustedissuer"
)

// newAuthenticators returns the union of all authenticators, and has the generic server use it and ask for the
// certificates that this takes. ownCA is the file of the authorities in the data directory, and openShift nil where its API is not served.
func newAuthenticators(cfg Config, ownCA string, keys *keys, index *boundobject.Index, revoked *revocation.Set,
	trusted *trustedissuer.Issuers, openShift *openShift, client kubernetes.Interface, generic *genericapiserver.Config,
) (*authn.Union, error) {
	given := cfg.Authentication
	own, err := dynamiccertificates.NewDynamicCAContentFromFile("data-directory", ownCA)
	if err != nil {
		return nil, err
	}
	clientCA, err := newClientCA(own, given.ClientCAFile)
	if err != nil {
		return nil, err
	}
	proxy, err := requestHeader(given, clientCA)
	if err != nil {
		return nil, err
	}
	for _, ca := range certificateAuthorities(clientCA, proxy) {
		if err := generic.Authentication.ApplyClientCert(ca, generic.SecureServing); err != nil {
			return nil, err
		}
	}
	identities := authn.Config{
		APIAudiences:  keys.audiences,
		Internal:      internalUser{},
		RequestHeader: proxy,
		ClientCA:      clientCA,
		TokenFile:     given.TokenFile,
		ServiceAccounts: serviceaccount.New(serviceaccount.Config{
			Issuers:      keys.issuers,
			APIAudiences: keys.audiences,
			Keys:         keys.ring,
			Index:        index,
			LegacyLookup: cfg.Tokens.Lookup,
			MarkUsed:     markUsed(client),
			CacheBytes:   given.CacheBytes,
			Now:          cfg.now(),
		}),
		Issuers: authn.IssuersConfig{
			File:          given.ConfigurationFile,
			Configuration: given.Issuers,
			Algorithms:    given.IssuerAlgorithms,
			OwnIssuers:    keys.issuers,
			ServerID:      generic.APIServerID,
			CacheBytes:    given.CacheBytes,
		},
		TrustedIssuers: trusted,

		Revocations: revoked,
		Now:         cfg.now(),
		Signer:      certificateSigner(own, cfg.ClusterSigning.CertFile),

		Webhook:   given.Webhook,
		Audited:   generic.AuditBackend != nil,
		Anonymous: apiserverapi.AnonymousAuthConfig{Enabled: given.Anonymous},
	}
	identities.Webhook.CacheBytes = given.CacheBytes
	if given.BootstrapTokens {
		identities.BootstrapTokens = index.Secrets
	}
	if openShift != nil {
		identities.AccessTokens = openShift.tokens
	}
	union, err := authn.New(identities)
	if err != nil {
		return nil, err
	}
	generic.Authentication.APIAudiences = keys.audiences
	generic.Authentication.RequestHeaderConfig = proxy
	generic.Authentication.Authenticator = union.Requests
	return union, nil
}

// certificateAuthorities returns the authorities that the server names when it asks clients for certificates.
func certificateAuthorities(clients dynamiccertificates.CAContentProvider, proxy *authenticatorfactory.RequestHeaderConfig) []dynamiccertificates.CAContentProvider {
	if proxy == nil {
		return []dynamiccertificates.CAContentProvider{clients}
	}
	return []dynamiccertificates.CAContentProvider{clients, proxy.CAContentProvider}
}

// newClientCA returns the authorities whose client certificates are accepted: the server's own, and those of a further file if
// one is named. Both files are read again when they change.
func newClientCA(own dynamiccertificates.CAContentProvider, file string) (dynamiccertificates.CAContentProvider, error) {
	if file == "" {
		return own, nil
	}
	further, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-bundle", file)
	if err != nil {
		return nil, err
	}
	return dynamiccertificates.NewUnionCAContentProvider(own, further), nil
}

// certificateSigner is what issues client certificates here, with the server's own authorities, or that of a file if one is named.
func certificateSigner(own dynamiccertificates.CAContentProvider, file string) authn.Signer {
	return authn.Signer{
		Backdate: certificates.Backdate,
		Authorities: func() []*x509.Certificate {
			authorities, _ := cert.ParseCertsPEM(own.CurrentCABundleContent()) // the provider has parsed them
			if file != "" {
				further, _ := cert.CertsFromFile(file) // what can't be read signs nothing
				authorities = append(authorities, further...)
			}
			return authorities
		},
	}
}

// requestHeader returns the configuration of request headers, or nil if none are accepted. An authority of ordinary clients may vouch for
// proxies only if these are named: otherwise every client could say that it is somebody else.
func requestHeader(cfg Authentication, clientCA dynamiccertificates.CAContentProvider) (*authenticatorfactory.RequestHeaderConfig, error) {
	proxy, err := cfg.RequestHeader.ToAuthenticationRequestHeaderConfig()
	if err != nil || proxy == nil {
		return nil, err
	}
	if len(cfg.RequestHeader.AllowedNames) > 0 {
		return proxy, nil
	}
	clients, err := cert.ParseCertsPEM(clientCA.CurrentCABundleContent())
	if err != nil {
		return nil, fmt.Errorf("--client-ca-file: %w", err)
	}
	proxies, err := cert.ParseCertsPEM(proxy.CAContentProvider.CurrentCABundleContent())
	if err != nil {
		return nil, fmt.Errorf("--requestheader-client-ca-file: %w", err)
	}
	for _, authority := range proxies {
		if slices.ContainsFunc(clients, func(other *x509.Certificate) bool { return bytes.Equal(authority.Raw, other.Raw) }) {
			return nil, errOverlap
		}
	}
	return proxy, nil
}

// errOverlap has kube-apiserver's text.
var errOverlap = errors.New("--requestheader-client-ca-file and --client-ca-file contain overlapping certificates; " +
	"--requestheader-allowed-names must be specified to ensure regular client certificates cannot set authenticating proxy headers for arbitrary users")
