// Package openid provides the issuer's public documents over HTTP: the OpenID Connect discovery document (OpenID Connect
// Discovery 1.0 section 4) and the JSON Web Key Set (RFC 7517).
package openid

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/emicklei/go-restful/v3"

	"github.com/mintmark/mintmark/internal/signingkey"
)

// Paths of the issuer's documents.
const (
	configurationPath = signingkey.ConfigurationPath
	keySetPath        = signingkey.KeySetPath

	mediaTypeKeySet = "application/jwk-set+json"
)

// Keys has what is published of the keys: the same pointer while nothing changes. The error, while the keys aren't known,
// says that trying again may help.
type Keys interface {
	Published() (*signingkey.Published, error)
}

// Config holds the facts that are published.
type Config struct {
	// Issuer is the issuer of new tokens.
	Issuer string
	// JWKSURI is the published URL of the key set; empty means the one at this server.
	JWKSURI string
	// ExternalAddress is the host and port under which others reach this server.
	ExternalAddress string
	Keys            Keys
}

// Documents are the two documents. They follow the keys.
type Documents struct {
	issuer, jwksURI string
	keys            Keys
	rendered        atomic.Pointer[rendered]
}

// rendered are the documents as they are sent, for one state of the keys.
type rendered struct {
	of                    *signingkey.Published
	configuration, keySet document
}

// cacheControl says how long relying parties may keep the documents.
func (r *rendered) cacheControl() string {
	age := r.of.MaxAge
	if until := r.of.FreshUntil; !until.IsZero() {
		age = max(min(age, time.Until(until)), 0)
	}
	return fmt.Sprintf("public, max-age=%d", int(age.Seconds()))
}

// configuration is the discovery document. Members are in the order in which kube-apiserver writes them.
type configuration struct {
	Issuer        string   `json:"issuer"`
	JWKSURI       string   `json:"jwks_uri"`
	ResponseTypes []string `json:"response_types_supported"`
	SubjectTypes  []string `json:"subject_types_supported"`
	Algorithms    []string `json:"id_token_signing_alg_values_supported"`
}

// New returns the documents. Not every issuer of tokens can have documents: the error says why one can't.
func New(cfg Config) (*Documents, error) {
	if err := checkIssuer(cfg.Issuer); err != nil {
		return nil, err
	}
	jwksURI, err := locateKeySet(cfg)
	if err != nil {
		return nil, err
	}
	return &Documents{issuer: cfg.Issuer, jwksURI: jwksURI, keys: cfg.Keys}, nil
}

// current returns the documents for the keys of now. They are rendered when the keys have changed, not for each request.
func (d *Documents) current() (*rendered, error) {
	published, err := d.keys.Published()
	if err != nil {
		return nil, err
	}
	if r := d.rendered.Load(); r != nil && r.of == published {
		return r, nil
	}
	body, err := json.Marshal(configuration{
		Issuer:        d.issuer,
		JWKSURI:       d.jwksURI,
		ResponseTypes: []string{"id_token"},
		SubjectTypes:  []string{"public"},
		Algorithms:    published.Algorithms,
	})
	if err != nil {
		return nil, err
	}
	r := &rendered{
		of:            published,
		configuration: newDocument(body, restful.MIME_JSON),
		keySet:        newDocument(published.KeySet, mediaTypeKeySet, restful.MIME_JSON),
	}
	d.rendered.Store(r)
	return r, nil
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
	serve := func(path, operation, doc string, of func(*rendered) *document, mediaTypes ...string) {
		service := new(restful.WebService)
		service.Path(path).Produces(mediaTypes...)
		service.Route(service.GET("").If(acceptable(mediaTypes)).To(func(request *restful.Request, response *restful.Response) {
			r, err := d.current()
			if err != nil {
				writeError(response, err)
				return
			}
			header := response.Header()
			header.Set("Cache-Control", r.cacheControl())
			if len(mediaTypes) > 1 {
				header.Add("Vary", "Accept")
			}
			of(r).write(response, request.Request)
		}).Operation(operation).Doc(doc).Returns(http.StatusOK, "OK", ""))
		container.Add(service)
	}
	serve(configurationPath, "getServiceAccountIssuerOpenIDConfiguration",
		"get service account issuer OpenID configuration, also known as the 'OIDC discovery doc'",
		func(r *rendered) *document { return &r.configuration }, restful.MIME_JSON)
	serve(keySetPath, "getServiceAccountIssuerOpenIDKeyset",
		"get service account issuer OpenID JSON Web Key Set (contains public token verification keys)",
		func(r *rendered) *document { return &r.keySet }, mediaTypeKeySet, restful.MIME_JSON)
}
