package agent

import (
	"crypto/x509"
	"errors"
	"fmt"
	"net/url"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// explainTLS turns a failed TLS handshake into an error that says what to do. What another try may mend stays as it is.
func (a *Agent) explainTLS(server *url.URL, err error) error {
	invalid, host, unknown := x509.CertificateInvalidError{}, x509.HostnameError{}, x509.UnknownAuthorityError{}
	switch {
	case errors.Is(err, errPinned):
		return &refusedError{errPinned.Error()}
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && invalid.Cert != nil:
		return &refusedError{fmt.Sprintf("the certificate of %s is good from %s to %s, and the clock of this machine says %s: set the clock, or renew the server's certificate",
			server.Host, invalid.Cert.NotBefore.Format(time.RFC3339), invalid.Cert.NotAfter.Format(time.RFC3339), a.clock.Now().Format(time.RFC3339))}
	case errors.As(err, &host):
		return &refusedError{fmt.Sprintf("the certificate of %s is for other names: %s. Use one of its names with --server, or have the server name this one (--external-hostname)", server.Host, host.Error())}
	case errors.As(err, &unknown):
		return &refusedError{fmt.Sprintf("the certificate of %s is not from the authority in %s, so nothing was sent to it. If the server has a new authority, remove the file and start the agent with a new --ca-cert-hash",
			server.Host, a.state.Path(authorityFile))}
	}
	return err
}

// explainJoin turns the answer to a bootstrap token into an error that says what to do.
func (a *Agent) explainJoin(err error) error {
	again := fmt.Sprintf("%s %s'", askAdministrator, a.node)
	switch {
	case apierrors.IsUnauthorized(err):
		return &refusedError{"the server does not accept the bootstrap token: it is wrong, its time is over (one hour, unless --ttl says otherwise), or the node was removed since; " + again}
	case apierrors.IsForbidden(err):
		return &refusedError{fmt.Sprintf("the bootstrap token does not let this machine join as %s; %s. The server says: %s", a.node, again, err.Error())}
	case apierrors.IsInvalid(err):
		return &refusedError{"the server refuses the request for a certificate: " + err.Error()}
	}
	return a.explainTLS(a.connection.server, err)
}
