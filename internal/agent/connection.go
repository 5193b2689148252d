package agent

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/connrotation"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	dialTimeout = 10 * time.Second
	// requestTimeout bounds a request that is no watch.
	requestTimeout = 30 * time.Second
	// skewTold is the difference between two clocks from which on it is told. The server's is known to the second.
	skewTold = time.Minute
)

// connection is the way to one server: its transport, which presents the current client certificate, and what the answers tell
// of the server.
type connection struct {
	server    *url.URL
	userAgent string
	clock     clock.PassiveClock
	transport *http.Transport
	dialer    *connrotation.Dialer

	mu          sync.Mutex
	certificate *tls.Certificate
	condition   condition
}

// condition is how the server answered last.
type condition struct {
	// answered is the time of the last answer, zero before the first.
	answered time.Time
	// failure is why the last request had no answer, nil if it had one.
	failure error
	// refused says that the last answer to the client certificate was 401.
	refused bool
	// skew is how far the clock of this machine is ahead of the server's, zero if that is hard to tell.
	skew time.Duration
}

func newConnection(server *url.URL, authorities []byte, userAgent string, now clock.PassiveClock) (*connection, error) {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(authorities) {
		return nil, fmt.Errorf("%s holds no certificate: remove it and start the agent with all that 'mintmark node add' printed", authorityFile)
	}
	c := &connection{server: server, userAgent: userAgent, clock: now}
	c.dialer = connrotation.NewDialer((&net.Dialer{Timeout: dialTimeout, KeepAlive: dialTimeout}).DialContext)
	// The defaults have HTTP/2 look for dead connections.
	c.transport = utilnet.SetTransportDefaults(&http.Transport{
		DialContext:         c.dialer.DialContext,
		TLSHandshakeTimeout: dialTimeout,
		DisableCompression:  true,
		TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots, GetClientCertificate: c.present},
	})
	return c, nil
}

// present returns the client certificate for a new connection.
func (c *connection) present(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	if current := c.current(); current != nil {
		return current, nil
	}
	return &tls.Certificate{}, nil
}

func (c *connection) current() *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.certificate
}

// use presents a certificate from now on. Open connections are closed, since each keeps the certificate that it began with.
func (c *connection) use(certificate *tls.Certificate) {
	c.mu.Lock()
	c.certificate, c.condition.refused = certificate, false
	c.mu.Unlock()
	c.close()
}

func (c *connection) close() {
	c.dialer.CloseAll()
	c.transport.CloseIdleConnections()
}

// client returns a client that authenticates with the client certificate.
func (c *connection) client() (kubernetes.Interface, error) {
	config := c.config()
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return observer{next, c} })
	return kubernetes.NewForConfig(config)
}

// bootstrapClient returns a client that authenticates with a bootstrap token.
func (c *connection) bootstrapClient(token string) (kubernetes.Interface, error) {
	config := c.config()
	config.BearerToken = token
	return kubernetes.NewForConfig(config)
}

func (c *connection) config() *rest.Config {
	return &rest.Config{
		Host:      c.server.String(),
		Transport: stay{c.transport},
		UserAgent: c.userAgent,
		QPS:       20, // many volumes are due at once after a SIGHUP
		Burst:     40,
	}
}

// stay refuses redirects: credentials go to the server that was named, and nowhere else.
type stay struct{ *http.Transport }

// RoundTrip sends a request.
func (s stay) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := s.Transport.RoundTrip(request)
	if err == nil && answer.Header.Get("Location") != "" && answer.StatusCode/100 == 3 {
		_ = answer.Body.Close()
		return nil, fmt.Errorf("the server answers %s with a redirect, and none is followed: name the server itself with --server", request.URL.Path)
	}
	return answer, err
}

// observer keeps the condition of the connection.
type observer struct {
	next       http.RoundTripper
	connection *connection
}

// RoundTrip sends a request.
func (o observer) RoundTrip(request *http.Request) (*http.Response, error) {
	used := o.connection.current()
	answer, err := o.next.RoundTrip(request)
	if err != nil && (request.Context().Err() != nil || o.connection.current() != used) {
		return answer, err // it was ended here, which tells nothing of the server
	}
	o.connection.note(answer, err)
	return answer, err
}

// note keeps how the server answered, and logs what changes.
func (c *connection) note(answer *http.Response, err error) {
	c.mu.Lock()
	before := c.condition
	now := c.clock.Now()
	if c.condition.failure = err; err == nil {
		c.condition.answered = now
		c.condition.refused = answer.StatusCode == http.StatusUnauthorized
		c.condition.skew = skew(answer, now)
	}
	is := c.condition
	c.mu.Unlock()
	log := klog.Background().WithValues("server", c.server.String())
	switch {
	case is.failure != nil && before.failure == nil:
		log.Info("The server can't be reached; it is tried again, and the files stay", "reason", is.failure.Error())
	case is.failure == nil && before.failure != nil:
		log.Info("The server answers again")
	}
	if is.refused && !before.refused {
		log.Info(errRemoved.Error())
	}
	if (is.skew != 0) != (before.skew != 0) {
		log.Info("The clock of this machine is " + skewText(is.skew) + " that of the server")
	}
}

// skew is how far a clock is ahead of that in an answer, zero if it is less than skewTold.
func skew(answer *http.Response, now time.Time) time.Duration {
	date, err := http.ParseTime(answer.Header.Get("Date"))
	if ahead := now.Sub(date).Truncate(time.Second); err == nil && ahead.Abs() >= skewTold {
		return ahead
	}
	return 0
}

// status returns how the server answered last.
func (c *connection) status() condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.condition
}

// text tells it to a person.
func (s condition) text(now time.Time) string {
	text := "answers"
	switch {
	case s.refused:
		text = "refuses the certificate of this node"
	case s.failure != nil && s.answered.IsZero():
		text = "has not answered yet: " + oneLine(s.failure.Error())
	case s.failure != nil:
		text = fmt.Sprintf("has not answered for %s: %s", now.Sub(s.answered).Truncate(time.Second), oneLine(s.failure.Error()))
	}
	if s.skew != 0 {
		text += "; the clock of this machine is " + skewText(s.skew) + " that of the server"
	}
	return text
}

func skewText(skew time.Duration) string {
	switch {
	case skew > 0:
		return skew.String() + " ahead of"
	case skew < 0:
		return skew.Abs().String() + " behind"
	}
	return "like"
}
