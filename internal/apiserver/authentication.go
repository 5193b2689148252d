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
	"k8s.io/client-go/util/cert"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/serviceaccount"
)

// authenticate decides who is let in, and has the generic server ask for the certificates that this takes.
func (s *Server) authenticate(generic *genericapiserver.Config) (*authn.Union, error) {
	cfg := s.cfg.Authentication
	clientCA, err := s.clientCA()
	if err != nil {
		return nil, err
	}
	proxy, err := requestHeader(cfg, clientCA)
	if err != nil {
		return nil, err
	}
	identities := authn.Config{
		APIAudiences:  s.keys.audiences,
		Internal:      internalUser{},
		RequestHeader: proxy,
		ClientCA:      clientCA,
		TokenFile:     cfg.TokenFile,
		ServiceAccounts: serviceaccount.New(serviceaccount.Config{
			Issuers:      s.keys.issuers,
			APIAudiences: s.keys.audiences,
			Keys:         s.keys.accepted,
			Index:        s.index,
			LegacyLookup: s.cfg.Tokens.Lookup,
			MarkUsed:     s.markUsed,
			CacheBytes:   cfg.CacheBytes,
		}),
		Issuers: authn.IssuersConfig{
			File:          cfg.ConfigurationFile,
			Configuration: cfg.Issuers,
			Algorithms:    cfg.IssuerAlgorithms,
			OwnIssuers:    s.keys.issuers,
			ServerID:      generic.APIServerID,
			CacheBytes:    cfg.CacheBytes,
		},
		Webhook:   cfg.Webhook,
		Anonymous: apiserverapi.AnonymousAuthConfig{Enabled: cfg.Anonymous},
	}
	identities.Webhook.CacheBytes = cfg.CacheBytes
	if cfg.BootstrapTokens {
		identities.BootstrapTokens = s.index.Secrets
	}
	if err := generic.Authentication.ApplyClientCert(clientCA, generic.SecureServing); err != nil {
		return nil, err
	}
	if proxy != nil {
		if err := generic.Authentication.ApplyClientCert(proxy.CAContentProvider, generic.SecureServing); err != nil {
			return nil, err
		}
	}
	if s.cfg.OpenShift {
		identities.AccessTokens = s.accessTokens(s.keys.audiences).InUnion()
	}
	union, err := authn.New(identities)
	if err != nil {
		return nil, err
	}
	generic.Authentication.APIAudiences = s.keys.audiences
	generic.Authentication.RequestHeaderConfig = proxy
	generic.Authentication.Authenticator = union.Requests
	return union, nil
}

// clientCA returns the authorities whose client certificates are accepted: the server's own, and those of a file, which
// is read again when it changes.
func (s *Server) clientCA() (dynamiccertificates.CAContentProvider, error) {
	own, err := dynamiccertificates.NewStaticCAContent("data-directory", s.files.CA)
	if err != nil {
		return nil, err
	}
	file := s.cfg.Authentication.ClientCAFile
	if file == "" {
		return own, nil
	}
	further, err := dynamiccertificates.NewDynamicCAContentFromFile("client-ca-bundle", file)
	if err != nil {
		return nil, err
	}
	return dynamiccertificates.NewUnionCAContentProvider(own, further), nil
}

// requestHeader returns whose headers are believed, or nil if nobody's are. An authority of ordinary clients may vouch for
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
