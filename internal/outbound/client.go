package outbound

import (
	"crypto/tls"
	"fmt"
	"net/http"
	"net/url"

	"k8s.io/apimachinery/pkg/runtime/schema"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/client-go/rest"
	certutil "k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
)

// NewClient returns a client for https URLs. The servers' certificates are checked with the authorities in a PEM bundle,
// or with those of the host if the bundle is empty. If wrap is not nil, it is put around the guarded transport.
func NewClient(authorities string, wrap func(http.RoundTripper) http.RoundTripper) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if authorities != "" {
		roots, err := certutil.NewPoolFromBytes([]byte(authorities))
		if err != nil {
			return nil, fmt.Errorf("failed to read the CA contents: %w", err)
		}
		conf.RootCAs = roots
	}
	base := utilnet.SetTransportDefaults(&http.Transport{TLSClientConfig: conf, MaxResponseHeaderBytes: maxHeader})
	var transport http.RoundTripper = encrypted{guarded{base}}
	if wrap != nil {
		transport = wrap(transport)
	}
	return &http.Client{Transport: transport, Timeout: Timeout}, nil
}

// encrypted refuses URLs that are not https: keys that are read in clear may be anybody's.
type encrypted struct{ base http.RoundTripper }

// RoundTrip makes a call.
func (e encrypted) RoundTrip(request *http.Request) (*http.Response, error) {
	if request.URL.Scheme != "https" {
		return nil, fmt.Errorf("the URL must be https, not %q", Shorten(request.URL.Scheme))
	}
	return e.base.RoundTrip(request)
}

// Webhook reads a webhook's kubeconfig into the configuration of a client. It warns of a connection on which others can
// read what is sent, or answer instead of the webhook. Errors and warnings begin with the flag or whatever else names the
// file.
func Webhook(named, file string) (*rest.Config, error) {
	config, err := webhookutil.LoadKubeconfig(file, nil)
	if err != nil {
		return nil, fmt.Errorf("%s: %s: %w", named, file, err)
	}
	// The library would tell of a certificate that can't be read without naming the file.
	if _, err := rest.TransportFor(config); err != nil {
		return nil, fmt.Errorf("%s: %s: %w", named, file, err)
	}
	server, err := address(config)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%s: %s: %w", named, file, err)
	case server.Scheme != "https":
		klog.Warningf("%s: %s: the webhook %s is called over plain HTTP. Others on the way can read what it is sent, tokens too, and can answer for it: give it an https URL",
			named, file, server.Redacted())
	case config.Insecure:
		klog.Warningf("%s: %s: the certificate of the webhook %s is not checked (insecure-skip-tls-verify). Others on the way can read what it is sent, tokens too, and can answer for it: name its certificate-authority",
			named, file, server.Redacted())
	}
	config.Wrap(func(base http.RoundTripper) http.RoundTripper { return guarded{base} })
	return config, nil
}

// address returns the URL of the server. A server that is given without a scheme has plain HTTP, whatever else the
// kubeconfig says: client-go reads the rest about TLS only for https URLs.
func address(config *rest.Config) (*url.URL, error) {
	server, _, err := rest.DefaultServerURL(config.Host, config.APIPath, schema.GroupVersion{}, rest.IsConfigTransportTLS(*config))
	return server, err
}
