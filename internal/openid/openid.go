// Package openid provides the issuer's public documents over HTTP: the OpenID Connect discovery document (OpenID Connect
// Discovery 1.0 section 4) and the JSON Web Key Set (RFC 7517).
package openid

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"

	"github.com/emicklei/go-restful/v3"

	"github.com/mintmark/mintmark/internal/signingkey"
)

// Paths of the issuer's documents.
const (
	configurationPath = signingkey.ConfigurationPath
	keySetPath        = signingkey.KeySetPath

	mediaTypeKeySet = "application/jwk-set+json"
	// cacheControl lets relying parties keep the documents for an hour, as kube-apiserver's does.
	cacheControl = "public, max-age=3600"
)

// Config holds the facts that are published.
type Config struct {
	// Issuer is the issuer of new tokens.
	Issuer string
	// JWKSURI is the published URL of the key set; empty means the one at this server.
	JWKSURI string
	// ExternalAddress is the host and port under which others reach this server.
	ExternalAddress string
	// Keys are those whose tokens are accepted.
	Keys *signingkey.KeySet
}

// Documents are the two documents as they are sent.
type Documents struct {
	configuration, keySet []byte
}

// configuration is the discovery document. Members are in the order in which kube-apiserver writes them.
type configuration struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// New renders the documents. Not every issuer of tokens can have documents: the error says why one can't.
func New(cfg Config) (*Documents, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	jwksURI, err := locateKeySet(cfg)
	if err != nil {
		return nil, err
	}
	published, err := cfg.Keys.Publish()
	if err != nil {
		return nil, err
	}
	document, err := json.Marshal(configuration{
		Issuer:        cfg.Issuer,
		JWKSURI:       jwksURI,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		Algorithms:    published.Algorithms,
	})
	if err != nil {
		return nil, err
	}
	return &Documents{configuration: document, keySet: published.KeySet}, nil
}

// checkIssuer returns an error unless relying parties can derive the document's URL from the issuer: it has to be https,
// without query and fragment.
func checkIssuer(issuer string) error {
	if issuer == "" {
		return errors.New("empty issuer URL")
	}
	parsed, err := url.Parse(issuer)
	switch {
	case err != nil:
		return err
	case parsed.Scheme != "https":
		return fmt.Errorf("issuer URL must use https scheme, got: %s", issuer)
	case parsed.RawQuery != "":
		return fmt.Errorf("issuer URL may not include a query, got: %s", issuer)
	case parsed.Fragment != "":
		return fmt.Errorf("issuer URL may not include a fragment, got: %s", issuer)
	}
	return nil
}

func locateKeySet(cfg Config) (string, error) {
	if cfg.JWKSURI == "" {
		if cfg.ExternalAddress == "" {
			return "", errors.New("either the JWKS URI or the default external address, or both, must be set")
		}
		here := url.URL{Scheme: "https", Host: cfg.ExternalAddress, Path: keySetPath}
		if _, err := url.Parse(here.String()); err != nil {
			return "", fmt.Errorf("attempted to build jwks_uri from external address %s, but could not construct a valid URL. Error: %w", cfg.ExternalAddress, err)
		}
		return here.String(), nil
	}
	parsed, err := url.Parse(cfg.JWKSURI)
	if err != nil {
		return "", err
	}
	if parsed.Scheme != "https" {
		return "", fmt.Errorf("jwksURI requires https scheme, parsed as: %s", parsed)
	}
	return cfg.JWKSURI, nil
}

// Install serves the documents.
func (d *Documents) Install(container *restful.Container) {
	serve := func(path, operation, doc string, body []byte, mediaTypes ...string) {
		service := new(restful.WebService)
		service.Path(path).Produces(mediaTypes...)
		service.Route(service.GET("").If(acceptable(mediaTypes)).To(func(request *restful.Request, response *restful.Response) {
			header := response.Header()
			header.Set("Content-Type", request.HeaderParameter("Accept"))
			header.Set("Cache-Control", cacheControl)
			if len(mediaTypes) > 1 {
				header.Add("Vary", "Accept")
			}
			// The client is gone if this fails.
			_, _ = response.Write(body)
		}).Operation(operation).Doc(doc).Returns(http.StatusOK, "OK", ""))
		container.Add(service)
	}
	serve(configurationPath, "getServiceAccountIssuerOpenIDConfiguration",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'", d.configuration, restful.MIME_JSON)
	serve(keySetPath, "getServiceAccountIssuerOpenIDKeyset",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)", d.keySet, mediaTypeKeySet, restful.MIME_JSON)
}
