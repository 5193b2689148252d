package agent

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	certutil "k8s.io/client-go/util/cert"
)

const (
	pinPrefix = "sha256:"
	// pinTimeout bounds the connection that fetches the authority.
	pinTimeout = 20 * time.Second
)

// pin is the SHA-256 of a certificate's SubjectPublicKeyInfo: kubeadm's --discovery-token-ca-cert-hash.
type pin [sha256.Size]byte

// HashAuthority returns the hash of a certificate authority in the form of --ca-cert-hash.
func HashAuthority(authority *x509.Certificate) string {
	sum := hashAuthority(authority)
	return pinPrefix + hex.EncodeToString(sum[:])
}

func hashAuthority(authority *x509.Certificate) pin {
	return sha256.Sum256(authority.RawSubjectPublicKeyInfo)
}

// parsePins reads values of --ca-cert-hash.
func parsePins(texts []string) ([]pin, error) {
	pins := make([]pin, 0, len(texts))
	for _, text := range texts {
		digits, ok := strings.CutPrefix(strings.ToLower(text), pinPrefix)
		sum, err := hex.DecodeString(digits)
		if !ok || err != nil || len(sum) != sha256.Size {
			return nil, fmt.Errorf("--ca-cert-hash must be sha256: and 64 hexadecimal digits, as 'mintmark node add' prints it")
		}
		pins = append(pins, pin(sum))
	}
	return pins, nil
}

// errPinned is returned if no authority of the server has a pinned hash.
var errPinned = errors.New("no certificate authority in the server's chain has the hash of --ca-cert-hash, so nothing was sent to it. " +
	"Compare the hash with the line of 'mintmark node add'; if it is the same, another server answers at this address")

// fetchAuthority connects to a server and returns the pinned certificate authority of its certificate, in PEM. A server without
// one gets the TLS handshake and nothing else.
func fetchAuthority(ctx context.Context, server *url.URL, pins []pin, now func() time.Time) ([]byte, error) {
	var found *x509.Certificate
	transport := &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DisableKeepAlives:   true,
		TLSHandshakeTimeout: pinTimeout,
		TLSClientConfig: &tls.Config{
			MinVersion: tls.VersionTLS12,
			// VerifyConnection has the roots only when it sees the chain.
			InsecureSkipVerify: true, //nolint:gosec // VerifyConnection verifies
			VerifyConnection: func(state tls.ConnectionState) (err error) {
				found, err = pinned(state.PeerCertificates, pins, server.Hostname(), now())
				return err
			},
		},
	}
	ctx, cancel := context.WithTimeout(ctx, pinTimeout)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, server.JoinPath("version").String(), http.NoBody)
	if err != nil {
		return nil, err
	}
	answer, err := transport.RoundTrip(request)
	if found == nil && err != nil {
		return nil, err
	}
	if err == nil {
		_ = answer.Body.Close() // the handshake has told all
	}
	return certutil.EncodeCertificates(found)
}

// pinned returns the authority of a chain that has one of the hashes, if the chain is good for host.
func pinned(chain []*x509.Certificate, pins []pin, host string, now time.Time) (*x509.Certificate, error) {
	behind := x509.NewCertPool()
	for _, certificate := range chain[1:] {
		behind.AddCert(certificate)
	}
	refused := errPinned
	for _, certificate := range chain {
		// Two certificates of one authority have one key: any of them may be the one that verifies.
		if !certificate.IsCA || !slices.Contains(pins, hashAuthority(certificate)) {
			continue
		}
		roots := x509.NewCertPool()
		roots.AddCert(certificate)
		if _, err := chain[0].Verify(x509.VerifyOptions{DNSName: host, Roots: roots, Intermediates: behind, CurrentTime: now}); err != nil {
			refused = err
			continue
		}
		return certificate, nil
	}
	return nil, refused
}

// checkAuthority refuses authorities in PEM none of which has a pinned hash.
func checkAuthority(authorities []byte, pins []pin, source string) error {
	certificates, err := certutil.ParseCertsPEM(authorities)
	if err != nil {
		return fmt.Errorf("%s holds no certificate authority: %w", source, err)
	}
	if len(pins) == 0 || slices.ContainsFunc(certificates, func(c *x509.Certificate) bool { return slices.Contains(pins, hashAuthority(c)) }) {
		return nil
	}
	return fmt.Errorf("the certificate authority in %s does not have the hash of --ca-cert-hash: one of the two belongs to another server", source)
}

// sameAuthorities reports whether two PEM files hold the same.
func sameAuthorities(a, b []byte) bool { return bytes.Equal(bytes.TrimSpace(a), bytes.TrimSpace(b)) }
