package options

import (
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"
)

// validate returns all errors in the flags, with kube-apiserver's texts where it has the same check.
func (o *Options) validate() []error {
	var errs []error
	c := &o.config
	if c.DataDir == "" {
		errs = append(errs, errors.New("--data-dir must name a directory"))
	}
	errs = append(errs, o.validateTokens()...)
	errs = append(errs, o.validateAuthentication()...)
	errs = append(errs, o.validateOpenShift()...)
	errs = append(errs, validateClusterSigning(&c.ClusterSigning)...)
	errs = append(errs, c.Server.Validate()...)
	errs = append(errs, c.Serving.Validate()...)
	errs = append(errs, c.Audit.Validate()...)
	errs = append(errs, c.Tracing.Validate()...)
	storage := *c.Storage
	if len(storage.StorageConfig.Transport.ServerList) == 0 {
		// The embedded etcd has an address only when it runs.
		storage.StorageConfig.Transport.ServerList = []string{"unix:///embedded"}
		errs = append(errs, validateEmbedded(storage.StorageConfig.Transport.KeyFile, storage.StorageConfig.Transport.CertFile, storage.StorageConfig.Transport.TrustedCAFile)...)
	}
	errs = append(errs, storage.Validate()...)
	if ttl := c.EventTTL; ttl < 0 || ttl%time.Second != 0 {
		errs = append(errs, fmt.Errorf("--event-ttl=%s: the store counts in whole seconds; give these, or 0 to keep events for ever", ttl))
	}
	if cert := c.Serving.ServerCert.CertKey; (cert.CertFile == "") != (cert.KeyFile == "") {
		errs = append(errs, errors.New("--tls-cert-file and --tls-private-key-file go together: give both, or neither to have a certificate made"))
	}
	return errs
}

func validateEmbedded(files ...string) []error {
	if slices.ContainsFunc(files, func(file string) bool { return file != "" }) {
		return []error{errors.New("--etcd-keyfile, --etcd-certfile and --etcd-cafile are for an external etcd: name it with --etcd-servers, or leave them out")}
	}
	return nil
}

func (o *Options) validateTokens() []error {
	t := &o.config.Tokens
	errs := validateIssuers(t.Issuers)
	if t.ChangeIssuer && len(t.Issuers) == 0 {
		errs = append(errs, errors.New("--change-service-account-issuer without --service-account-issuer: name the new issuer"))
	}
	errs = append(errs, o.signer.validate(t)...)
	if len(t.KeyFiles) > 0 && t.SigningKeyFile == "" && o.signer.endpoint == "" {
		errs = append(errs, errors.New("--service-account-key-file without --service-account-signing-key-file: the tokens that this server issues would not be accepted; give the signing key, too"))
	}
	if life := t.MaxExpiration; life != 0 && (life < minMaxTokenExpiration || life > maxMaxTokenExpiration) {
		errs = append(errs, errors.New("the service-account-max-token-expiration must be between 1 hour and 2^32 seconds"))
	}
	errs = append(errs, o.validateKeys()...)
	errs = append(errs, validateAudiences(t.APIAudiences)...)
	if t.JWKSURI != "" {
		parsed, err := url.Parse(t.JWKSURI)
		switch {
		case hasUser(t.JWKSURI):
			errs = append(errs, fmt.Errorf("service-account-jwks-uri %w", errUser))
		case err != nil:
			errs = append(errs, fmt.Errorf("service-account-jwks-uri must be a valid URL: %w", err))
		case parsed.Scheme != "https":
			errs = append(errs, fmt.Errorf("service-account-jwks-uri requires https scheme, parsed as: %v", parsed.String()))
		case parsed.Hostname() == "":
			errs = append(errs, fmt.Errorf("service-account-jwks-uri %q has no host", t.JWKSURI))
		}
	}
	return errs
}

func validateIssuers(issuers []string) []error {
	var errs []error
	seen := map[string]bool{}
	for _, issuer := range issuers {
		if issuer == "" {
			errs = append(errs, errors.New("service-account-issuer should not be an empty string"))
			continue
		}
		if err := validateIssuer(issuer); err != nil {
			errs = append(errs, fmt.Errorf("service-account-issuer %w", err))
			continue
		}
		if seen[issuer] {
			errs = append(errs, fmt.Errorf("service-account-issuer %q is already specified", issuer))
		}
		seen[issuer] = true
	}
	return errs
}

// errUser does not repeat the URL, which may have a password in it.
var errUser = errors.New("has a user name or a password in front of its host: leave it out, since everybody can read it in the server's documents")

// hasUser reports whether a text that may be a URL names a user.
func hasUser(text string) bool {
	_, rest, found := strings.Cut(text, "://")
	authority, _, _ := strings.Cut(rest, "/")
	return found && strings.Contains(authority, "@")
}

// validateIssuer checks an issuer. An issuer need not be a URL, but with a colon in it, it must be one.
func validateIssuer(issuer string) error {
	switch {
	case hasUser(issuer):
		return errUser
	case strings.TrimSpace(issuer) != issuer:
		return fmt.Errorf("%q has white space around it", issuer)
	case !strings.Contains(issuer, ":"):
		return nil
	}
	parsed, err := url.Parse(issuer)
	if err != nil {
		return fmt.Errorf("%q contained a ':' but was not a valid URL: %w", issuer, err)
	}
	if (parsed.Scheme == "https" || parsed.Scheme == "http") && parsed.Hostname() == "" {
		return fmt.Errorf("%q has no host: write it as https://tokens.example.com", issuer)
	}
	return nil
}

// validateAudiences checks the API audiences. An empty list counts as not given.
func validateAudiences(audiences []string) []error {
	var errs []error
	for _, audience := range audiences {
		switch {
		case audience == "":
			errs = append(errs, errors.New("api-audiences has an empty audience in it: leave out the comma too many"))
		case strings.TrimSpace(audience) != audience:
			errs = append(errs, fmt.Errorf("api-audiences: %q has white space around it", audience))
		}
	}
	return errs
}
