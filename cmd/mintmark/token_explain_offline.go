package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/explanation"
)

// maxKeySet is the longest key set that is read.
const maxKeySet = 1 << 20

// offlineFlags say how to explain a token without a server.
type offlineFlags struct {
	offline bool
	keySet  string
	issuer  string
	// transport is that of the request for the key set; nil means the default one.
	transport http.RoundTripper
}

var errPlainHTTP = errors.New("anybody on the way could put in other keys: name an https URL or a file")

// maxRedirects is how many redirects are followed, which is as many as net/http does by itself.
const maxRedirects = 10

// onlyHTTPS stops at a redirect that leaves HTTPS.
func onlyHTTPS(next *http.Request, via []*http.Request) error {
	switch {
	case next.URL.Scheme != "https":
		return errPlainHTTP
	case len(via) >= maxRedirects:
		return errors.New("it leads from one address to the next without an end")
	}
	return nil
}

func (f *offlineFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&f.offline, "offline", false, "Ask no server: check what can be checked with the keys of --jwks alone")
	flags.StringVar(&f.keySet, "jwks", "", "File, or https URL, of the issuer's JSON Web Key Set; required with --offline")
	flags.StringVar(&f.issuer, "issuer", "", "Issuer that the token must name, with --offline (default: any)")
	_ = cmd.MarkFlagFilename("jwks")
	completeFlag(cmd, "issuer")
}

// validate refuses flags that mean nothing together.
func (f *offlineFlags) validate(cmd *cobra.Command) error {
	switch {
	case f.offline && f.keySet == "":
		return usageErrorf(cmd, "--offline needs the issuer's keys: name a file or a URL with --jwks")
	case !f.offline && (f.keySet != "" || f.issuer != ""):
		return usageErrorf(cmd, "--jwks and --issuer are for --offline: the server knows its issuers and keys")
	}
	return nil
}

// withoutServer explains a token with the keys alone.
func (c *tokenExplain) withoutServer(cmd *cobra.Command, _ streams, token string, answer *v1alpha1.TokenExplanation) error {
	keys, err := c.readKeySet(cmd.Context())
	if err != nil {
		return fmt.Errorf("cannot read the keys in %s: %w", c.keySet, err)
	}
	offline := explanation.Offline{KeySet: keys, Issuer: c.issuer, Audiences: c.audiences}
	answer.Status, err = offline.Explain(cmd.Context(), token)
	if err != nil {
		return fmt.Errorf("cannot use the keys in %s: %w", c.keySet, err)
	}
	return nil
}

// readKeySet reads the key set from its file or URL.
func (f *offlineFlags) readKeySet(ctx context.Context) ([]byte, error) {
	switch scheme, _, _ := strings.Cut(f.keySet, "://"); strings.ToLower(scheme) {
	case "http":
		return nil, errPlainHTTP
	case "https":
	default:
		return os.ReadFile(f.keySet)
	}
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.keySet, http.NoBody)
	if err != nil {
		return nil, err
	}
	client := &http.Client{Transport: f.transport, CheckRedirect: onlyHTTPS}
	response, err := client.Do(request)
	if isUnknownAuthority(err) {
		return nil, fmt.Errorf("%w: read them with 'curl --cacert' into a file, and name that", err)
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the server answers %s", response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxKeySet))
}
