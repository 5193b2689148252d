// Package conformance replays recorded HTTP exchanges of the Kubernetes authentication APIs (TokenRequest, TokenReview,
// issuer discovery and the objects around them) against a running server and says where its answers differ.
//
// A [Scenario] is a short story: create a service account, get a token, have it reviewed, delete the account, see the
// token refused. The answers in testdata/scenarios were recorded from a real kube-apiserver (v1.36.2), those under
// openshift/ from a real OpenShift oauth-apiserver (of Kubernetes 1.34) together with it; those in testdata/decided are
// Mintmark's own decisions, where it is stricter on purpose. testdata/variants holds stories for servers with other flags;
// the keys there were made for them and are published with them, their certificates good until 2120 unless meant not to be.
//
// What differs from run to run is replaced by placeholders on both sides before comparing. Variables come back as
// {{name}}, and the rest is
//
//	<uid:1> <rv:1> <kid:1> <suffix:1>   uids and token ids, resource versions of objects, key ids, ends of generated
//	                                    names; the same value has the same number throughout a scenario
//	<time> <date> <age> <now>           times near the present; <now> is the iat of a token
//	<iat+3600s>                         times of a token, counted from its iat; three seconds off are forgiven
//	<rv> <continue> <host> <key> <scheme>  versions of lists, paging tokens, the server's address, key material, places
//	                                    in source code
//
// Tokens are shown as header and claims where they are issued. Left out altogether are managed fields, storage version
// hashes, and of pods and nodes everything but metadata, service account, node name and phase. Uids that begin with
// 00000000- are taken literally. Reports never hold a token, only its credential id or a hash.
package conformance

import (
	"crypto/ecdsa"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net/http"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/sets"
)

// Target is the server under test and what a test knows about it. It is not changed by playing, so that scenarios can
// be played side by side.
type Target struct {
	URL        string            // https://host:port
	RootCAs    []byte            // PEM, to verify the server with; the system's when empty
	AdminToken string            // bearer token of admin, uid admin-uid, in system:masters
	AliceToken string            // bearer token of alice, uid alice-uid, in dev and qa, without rights of her own
	SigningKey *ecdsa.PrivateKey // signs the server's tokens; nil leaves NeedsSigningKey unmet
	Files      string            // folder with the keys and certificates that scenarios name; empty when none do
	Needs      sets.Set[string]  // the Needs constants that the server meets, but for NeedsSigningKey

	// Through, if there is one, is put around what carries the requests.
	Through func(http.RoundTripper) http.RoundTripper
}

// Meets reports whether the target is configured as the scenario needs it.
func (t *Target) Meets(sc *Scenario) bool {
	switch sc.Needs {
	case "":
		return true
	case NeedsSigningKey:
		return t.SigningKey != nil
	}
	return t.Needs.Has(sc.Needs)
}

// host is how the server's address reads in its answers.
func (t *Target) host() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return t.URL
	}
	return u.Host
}

// file is the path of a file that a scenario names.
func (t *Target) file(name string) (string, error) {
	if t.Files == "" {
		return "", errors.New("the scenario names " + name + ", but the target has no folder with files")
	}
	return filepath.Join(t.Files, name), nil
}

// client makes an HTTP client that shows answers as they come, without redirects or transparent decompression. With a
// name it presents the certificate NAME.crt, whatever authorities the server asks for.
func (t *Target) client(cert string) (*http.Client, error) {
	conf := &tls.Config{}
	if len(t.RootCAs) > 0 {
		conf.RootCAs = x509.NewCertPool()
		if !conf.RootCAs.AppendCertsFromPEM(t.RootCAs) {
			return nil, errors.New("no certificate found in the target's root CAs")
		}
	}
	if cert != "" {
		file, err := t.file(cert + ".crt")
		if err != nil {
			return nil, err
		}
		pair, err := tls.LoadX509KeyPair(file, strings.TrimSuffix(file, ".crt")+".key")
		if err != nil {
			return nil, err
		}
		conf.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	var transport http.RoundTripper = &http.Transport{TLSClientConfig: conf, ForceAttemptHTTP2: true, DisableCompression: true}
	if t.Through != nil {
		transport = t.Through(transport)
	}
	return &http.Client{
		Timeout:       time.Minute,
		Transport:     transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}, nil
}
