package controller_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/certificate"

	"github.com/mintmark/mintmark/internal/testserver"
)

// outside carries the requests of a bubble of testing/synctest to a real server. A goroutine that waits here for an answer is not
// durably blocked, so the bubble's clock stands still until the answer has come, and leaps when the client only waits for time.
// The channels are made outside of the bubble, and requests are sent by goroutines outside.
type outside struct {
	calls  chan *call
	blanks chan *call
}

// call is one request and its answer.
type call struct {
	transport http.RoundTripper
	request   *http.Request
	response  chan *http.Response
	failed    chan error
	body      chan []byte // closed at the end
	cancel    context.CancelFunc
}

// newOutside is called outside of the bubble.
func newOutside(ctx context.Context) *outside {
	o := &outside{calls: make(chan *call), blanks: make(chan *call)}
	go func() {
		for {
			callContext, cancel := context.WithCancel(ctx)
			blank := &call{
				request:  (&http.Request{}).WithContext(callContext),
				response: make(chan *http.Response, 1), failed: make(chan error, 1), body: make(chan []byte), cancel: cancel,
			}
			select {
			case o.blanks <- blank:
			case <-ctx.Done():
				cancel()
				return
			}
		}
	}()
	go func() {
		for {
			select {
			case c := <-o.calls:
				go c.send()
			case <-ctx.Done():
				return
			}
		}
	}()
	return o
}

func (c *call) send() {
	response, err := c.transport.RoundTrip(c.request)
	if err != nil {
		c.failed <- err
		return
	}
	defer response.Body.Close()
	c.response <- response
	defer close(c.body)
	for {
		part := make([]byte, 4096)
		n, err := response.Body.Read(part)
		if n > 0 {
			select {
			case c.body <- part[:n]:
			case <-c.request.Context().Done():
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// through is a transport for clients in the bubble.
type through struct {
	*outside
	transport http.RoundTripper
}

// RoundTrip sends a request from the bubble.
func (t through) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
	}
	c := <-t.blanks
	c.transport = t.transport
	inner := request.Clone(c.request.Context())
	inner.Body, inner.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	c.request = inner
	t.calls <- c
	select {
	case response := <-c.response:
		answer := *response
		answer.Body, answer.Request = &parts{call: c}, request
		return &answer, nil
	case err := <-c.failed:
		return nil, err
	case <-request.Context().Done():
		c.cancel()
		return nil, request.Context().Err()
	}
}

// parts is the body of an answer, for the bubble.
type parts struct {
	call *call
	left []byte
}

func (p *parts) Read(into []byte) (int, error) {
	if len(p.left) == 0 {
		part, more := <-p.call.body
		if !more {
			return 0, io.EOF
		}
		p.left = part
	}
	n := copy(into, p.left)
	p.left = p.left[n:]
	return n, nil
}

func (p *parts) Close() error {
	p.call.cancel()
	return nil
}

// client is the client of a bootstrapper, or of the holder of a certificate.
func (o *outside) client(server *testserver.Server, bootstrap string, current *tls.Certificate) (kubernetes.Interface, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(server.RootCAs)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}
	config := &rest.Config{Host: server.URL, Transport: through{o, transport}}
	if current == nil {
		config.BearerToken = bootstrap
	} else {
		transport.TLSClientConfig.Certificates = []tls.Certificate{*current}
	}
	return kubernetes.NewForConfig(config)
}

// TestCertificateManagerOverAYear: the certificate manager lives in a bubble of testing/synctest, and the server does not. The manager
// leaves a certificate of a year alone until 70 % of its time are over, and renews it before 90 % are.
func TestCertificateManagerOverAYear(t *testing.T) {
	server := testserver.Start(t, "--enable-bootstrap-token-auth")
	admin := server.Admin()
	bind(t, admin, "system:node-bootstrapper", nodeBootstrappers)
	bind(t, admin, roles+"nodeclient", nodeBootstrappers)
	bind(t, admin, "system:node-bootstrapper", "system:nodes")
	bind(t, admin, roles+"selfnodeclient", "system:nodes")
	bootstrap := bootstrapToken(t, admin, "vm1vm1", map[string]string{"auth-extra-groups": nodeBootstrappers, "node-name": "vm1"})
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	wire := newOutside(ctx)
	began := time.Now().Round(0) // without a monotonic reading, which the bubble does not share
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(began)) // the clock of the bubble begins in 2000
		store := &certificateStore{stored: make(chan *tls.Certificate, 10)}
		manager, err := certificate.NewManager(&certificate.Config{
			ClientsetFn: func(current *tls.Certificate) (kubernetes.Interface, error) {
				return wire.client(server, bootstrap, current)
			},
			Template: &x509.CertificateRequest{Subject: nodeSubject("vm1")}, SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName,
			GetUsages: certificate.DefaultKubeletClientGetUsages, CertificateStore: store,
		})
		if err != nil {
			t.Fatal(err)
		}
		manager.Start()
		leaf := (<-store.stored).Leaf
		if came := time.Since(began); came > time.Hour {
			t.Errorf("the first certificate came after %s", came)
		}
		life := leaf.NotAfter.Sub(leaf.NotBefore)
		<-store.stored
		renewed := time.Since(leaf.NotBefore)
		t.Logf("renewed after %s of %s", renewed, life)
		if renewed < life*7/10 || renewed > life*9/10+time.Hour {
			t.Errorf("renewed after %s of %s", renewed, life)
		}
		manager.Stop()
		synctest.Wait()
	})
}
