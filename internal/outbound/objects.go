package outbound

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"

	certutil "k8s.io/client-go/util/cert"
)

const (
	// objectConnections is the most connections to one host at a time.
	objectConnections = 8
	// objectIdle is how long a connection is kept for a next call. There may be thousands of hosts, each called rarely.
	objectIdle = 10 * time.Second
	// objectDial bounds how long a connection takes, TLS aside.
	objectDial = 5 * time.Second
)

// ObjectCalls makes the clients of calls that a stored object causes: whoever may write the object chooses the host. These clients
// refuse the addresses of the machine itself, of private networks and of clouds' metadata services. The address that is dialed is
// checked, so neither its spelling nor a name that resolves to another address later makes a difference.
//
// They use no proxy: a proxy would resolve the name itself, and reach what the server may not.
type ObjectCalls struct {
	allowed  []netip.Prefix
	resolver *net.Resolver // nil means the host's
}

// NewObjectCalls returns the maker of clients that may call the networks of --allow-private-issuers besides public addresses.
func NewObjectCalls(allowed []netip.Prefix) *ObjectCalls { return &ObjectCalls{allowed: allowed} }

// ObjectClient says how a client connects.
type ObjectClient struct {
	// Authorities is a PEM bundle of those that may vouch for the server; empty means those of the host.
	Authorities string
	// ServerName is the name in the server's certificate; empty means the host of the URL.
	ServerName string
	// Certificate is what the client shows of itself; nil means nothing.
	Certificate *tls.Certificate
	// Wrap is put around the guarded transport; nil means that nothing is.
	Wrap func(http.RoundTripper) http.RoundTripper
}

// NewClient returns a client for https URLs. Its CloseIdleConnections ends the connections that it keeps.
func (o *ObjectCalls) NewClient(cfg ObjectClient) (*http.Client, error) {
	conf := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: cfg.ServerName}
	if cfg.Authorities != "" {
		roots, err := certutil.NewPoolFromBytes([]byte(cfg.Authorities))
		if err != nil {
			return nil, err
		}
		conf.RootCAs = roots
	}
	if cfg.Certificate != nil {
		conf.Certificates = []tls.Certificate{*cfg.Certificate}
	}
	// HTTP/1.1 alone: it has one call in a connection at a time, so the bound of connections is one of calls.
	base := &http.Transport{
		TLSClientConfig:        conf,
		Protocols:              new(http.Protocols),
		DialContext:            o.dial,
		TLSHandshakeTimeout:    objectDial,
		MaxResponseHeaderBytes: maxHeader,
		MaxConnsPerHost:        objectConnections,
		MaxIdleConnsPerHost:    objectConnections,
		IdleConnTimeout:        objectIdle,
	}
	base.Protocols.SetHTTP1(true)
	var transport http.RoundTripper = encrypted{guarded{base}}
	if cfg.Wrap != nil {
		transport = cfg.Wrap(transport)
	}
	return &http.Client{Transport: closing{transport, base}, Timeout: Timeout}, nil
}

// dial connects to a host, to an address of it that may be called.
func (o *ObjectCalls) dial(ctx context.Context, network, hostPort string) (net.Conn, error) {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		return nil, err
	}
	dialer := net.Dialer{
		Timeout:  objectDial,
		Resolver: o.resolver,
		// The system is about to connect to this address.
		ControlContext: func(_ context.Context, _, address string, _ syscall.RawConn) error { return o.check(host, address) },
	}
	return dialer.DialContext(ctx, network, hostPort)
}

// check returns an error if an address with its port may not be called.
func (o *ObjectCalls) check(host, addressPort string) error {
	dialed, err := netip.ParseAddrPort(addressPort)
	if err != nil {
		return err
	}
	if kind := kindOf(dialed.Addr(), o.allowed); kind != "" {
		return &RefusedAddress{Host: host, Address: dialed.Addr(), Kind: kind}
	}
	return nil
}

// closing is a transport with the idle connections of another.
type closing struct {
	http.RoundTripper
	base *http.Transport
}

// CloseIdleConnections ends the connections that are kept for a next call.
func (c closing) CloseIdleConnections() { c.base.CloseIdleConnections() }
