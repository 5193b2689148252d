package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/outbound"
)

const (
	discoveryPath = "/.well-known/openid-configuration"
	keySetPath    = "/openid/v1/jwks"
	// publicTimeout bounds the attempt to read a cluster's documents as a stranger.
	publicTimeout = 5 * time.Second
	// maxDocument is the most that is read of a document.
	maxDocument = 1 << 20
)

// otherCluster is the cluster of a kubeconfig, whose tokens are to be accepted.
type otherCluster struct {
	kubernetes.Interface
	server *connection
}

// openCluster finds the cluster of a kubeconfig.
func openCluster(cmd *cobra.Command, file, contextName string, warnings io.Writer) (*otherCluster, error) {
	flags := &connectionFlags{kubeconfig: file, dataDirSet: func() bool { return false }}
	flags.overrides.CurrentContext = contextName
	server, err := flags.open(cmd, warnings)
	if err != nil {
		return nil, fmt.Errorf("--from-kubeconfig: %w", err)
	}
	client, err := kubernetes.NewForConfig(server.config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	return &otherCluster{client, server}, nil
}

// documents are what an issuer publishes of itself.
type documents struct {
	issuer, jwksURI string
	keys            string
}

// read reads a cluster's issuer and keys, and says how the server will come by the keys.
func (c *issuerAdd) read(ctx context.Context, there *otherCluster, spec *v1alpha1.TrustedIssuerSpec, tell teller) error {
	found, err := there.documents(ctx)
	if err != nil {
		return err
	}
	spec.URL, spec.Kubernetes = found.issuer, &v1alpha1.KubernetesTokens{Prefix: c.prefix}
	tell.ofCommonIssuer(found.issuer)
	audiences := c.audiences
	if len(audiences) == 0 {
		audiences = []string{found.issuer}
	}
	if len(c.audiences) == 0 && !c.replace {
		tell.say("Tokens for the audience %s are accepted, which pods of the cluster have by default: name others with --audience.", found.issuer)
	}
	c.setAudiences(spec, audiences)
	described, err := there.server.cluster("")
	if err != nil {
		return err
	}
	authority := string(described.CertificateAuthorityData)
	if c.publish {
		spec.CertificateAuthority = authority
		tell.say("The server reads the keys at %s, as --discovery says.", found.issuer)
		return nil
	}
	why := "--inline-keys says so"
	if !c.inline {
		var needed string
		if needed, why = publicly(ctx, found, authority); why == "" {
			spec.CertificateAuthority = needed
			tell.say("The server reads the keys at %s, which is public, and follows their rotation.", found.issuer)
			return nil
		}
	}
	spec.JWKS = found.keys
	tell.say("The keys of the cluster are put into the object: %s. When the cluster has other keys, add it again with --replace.", why)
	return nil
}

// commonIssuers are those that installers give to every cluster, kubeadm for one.
var commonIssuers = []string{"https://kubernetes.default.svc.cluster.local", "https://kubernetes.default.svc"}

// ofCommonIssuer says that a cluster has an issuer that others have as well.
func (t teller) ofCommonIssuer(issuer string) {
	if slices.Contains(commonIssuers, issuer) {
		t.say("Many clusters have the issuer %s, and only one of them can be added: give each an issuer of its own, "+
			"as the first --service-account-issuer of its kube-apiserver, with the present one as the second.", issuer)
	}
}

// documents reads what the cluster publishes, through its API server and with the credential of the kubeconfig.
func (o *otherCluster) documents(ctx context.Context) (*documents, error) {
	discovery, err := o.raw(ctx, discoveryPath)
	if err != nil {
		return nil, err
	}
	var says struct {
		Issuer  string `json:"issuer"`
		JWKSURI string `json:"jwks_uri"`
	}
	if err := json.Unmarshal(discovery, &says); err != nil || says.Issuer == "" {
		return nil, fmt.Errorf("the cluster %s answers at %s with no discovery document: name the issuer with --url and its keys with --jwks", o.server.config.Host, discoveryPath)
	}
	keys, err := o.raw(ctx, keySetPath)
	if err != nil {
		return nil, err
	}
	return &documents{says.Issuer, says.JWKSURI, strings.TrimSpace(string(keys))}, nil
}

func (o *otherCluster) raw(ctx context.Context, path string) ([]byte, error) {
	body, err := o.CoreV1().RESTClient().Get().AbsPath(path).DoRaw(ctx)
	switch {
	case err == nil:
		return body, nil
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("the cluster's documents may not be read: %w. Have an administrator there bind you to the cluster role system:service-account-issuer-discovery, or name the issuer with --url and its keys with --jwks",
			o.server.explain(ctx, err))
	case apierrors.IsNotFound(err):
		return nil, fmt.Errorf("the cluster %s has no %s, since its issuer is not an https URL: tokens of such an issuer can't be accepted here", o.server.config.Host, path)
	}
	return nil, fmt.Errorf("failed to read %s of the cluster: %w", path, o.server.explain(ctx, err))
}

// publicly tries to read an issuer's documents as a stranger does. It returns the authority that this takes, empty for those of the
// system, or why the documents are not public.
func publicly(ctx context.Context, found *documents, authority string) (needed, why string) {
	ctx, cancel := context.WithTimeout(ctx, publicTimeout)
	defer cancel()
	for _, address := range []string{found.issuer, found.jwksURI} {
		if why := privateHost(ctx, address); why != "" {
			return "", why
		}
	}
	for _, trusted := range []string{"", authority} {
		err := readPublic(ctx, found, trusted)
		if err == nil {
			return trusted, ""
		}
		if why = err.Error(); !isUnknownAuthority(err) || authority == "" {
			break
		}
	}
	return "", why
}

// privateHost says that an address is one that the server doesn't call, since it is not public; "" if it is public.
func privateHost(ctx context.Context, address string) string {
	parsed, err := url.Parse(address)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" {
		return fmt.Sprintf("%s is not an https URL", address)
	}
	host := parsed.Hostname()
	found, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil {
		return fmt.Sprintf("the host %s is not known here", host)
	}
	if i := slices.IndexFunc(found, func(ip netip.Addr) bool { return !outbound.IsPublic(ip) }); i >= 0 {
		return fmt.Sprintf("%s is at %s, which is not a public address (with --discovery the server reads the keys there; it must be started with --allow-private-issuers)", host, found[i].Unmap())
	}
	return ""
}

// readPublic reads an issuer's documents without a credential, and checks that they are the cluster's.
func readPublic(ctx context.Context, found *documents, authority string) error {
	conf := &tls.Config{MinVersion: tls.VersionTLS12}
	if authority != "" {
		conf.RootCAs = x509.NewCertPool()
		conf.RootCAs.AppendCertsFromPEM([]byte(authority))
	}
	transport := &http.Transport{TLSClientConfig: conf} // no proxy: the server uses none
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, CheckRedirect: func(*http.Request, []*http.Request) error { return errRedirected }}
	var says struct {
		Issuer string `json:"issuer"`
	}
	discovery, err := getDocument(ctx, client, strings.TrimSuffix(found.issuer, "/")+discoveryPath)
	if err != nil {
		return err
	}
	if json.Unmarshal(discovery, &says) != nil || says.Issuer != found.issuer {
		return fmt.Errorf("%s answers with the documents of another issuer", found.issuer)
	}
	keys, err := getDocument(ctx, client, found.jwksURI)
	if err != nil {
		return err
	}
	if !sameKeys(string(keys), found.keys) {
		return fmt.Errorf("%s has other keys than the cluster", found.jwksURI)
	}
	return nil
}

var errRedirected = errors.New("it redirects, which the server doesn't follow")

func getDocument(ctx context.Context, client *http.Client, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, http.NoBody)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", userAgent())
	response, err := client.Do(request)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read without a credential: %w", address, withoutURL(err))
	}
	defer func() { _ = response.Body.Close() }()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s can't be read without a credential: %s", address, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxDocument))
}

// withoutURL returns what is behind an error of a client, which repeats method and URL.
func withoutURL(err error) error {
	if request := (*url.Error)(nil); errors.As(err, &request) {
		return request.Err
	}
	return err
}

// sameKeys reports whether two key sets have the same key ids.
func sameKeys(a, b string) bool {
	ids := func(text string) (ids []string) {
		var set struct {
			Keys []struct {
				KeyID string `json:"kid"`
			} `json:"keys"`
		}
		if json.Unmarshal([]byte(text), &set) == nil {
			for _, key := range set.Keys {
				ids = append(ids, key.KeyID)
			}
		}
		slices.Sort(ids)
		return ids
	}
	return slices.Equal(ids(a), ids(b))
}
