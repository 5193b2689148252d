package agent_test

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"io"
	"log"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/agent"
)

const bootstrapToken = "abcdef.0123456789abcdef"

// authority is a certificate authority of a test.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

// issue makes a certificate. Without an issuer it is an authority of its own.
func issue(t *testing.T, issuer *authority, template *x509.Certificate) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template.SerialNumber = big.NewInt(time.Now().UnixNano())
	if template.NotAfter.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, crypto.Signer(key)
	if issuer == nil {
		template.IsCA, template.BasicConstraintsValid, template.KeyUsage = true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = issuer.certificate, issuer.key
		template.ExtKeyUsage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return &authority{certificate, key}
}

func newAuthority(t *testing.T) *authority {
	return issue(t, nil, &x509.Certificate{Subject: pkix.Name{CommonName: "authority"}})
}

// recorder is a TLS server that keeps the bytes that reach it, and counts requests.
type recorder struct {
	*httptest.Server

	mu       sync.Mutex
	received bytes.Buffer
	requests int
}

func newRecorder(t *testing.T, chain ...*authority) *recorder {
	t.Helper()
	r := &recorder{}
	r.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.requests++
	}))
	pair := tls.Certificate{PrivateKey: chain[0].key}
	for _, a := range chain {
		pair.Certificate = append(pair.Certificate, a.certificate.Raw)
	}
	r.Listener = recordingListener{r.Listener, r}
	r.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}
	r.Config.ErrorLog = log.New(io.Discard, "", 0) // refused handshakes are the test
	r.StartTLS()
	t.Cleanup(r.Close)
	return r
}

type recordingListener struct {
	net.Listener
	to *recorder
}

func (l recordingListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	return recordingConn{conn, l.to}, err
}

type recordingConn struct {
	net.Conn
	to *recorder
}

func (c recordingConn) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.to.mu.Lock()
	defer c.to.mu.Unlock()
	c.to.received.Write(p[:n])
	return n, err
}

// handshakeOnly fails if anything but the first message of a handshake and an alert has reached the server.
func (r *recorder) handshakeOnly(t *testing.T) {
	t.Helper()
	r.Close() // reads end
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.requests > 0 {
		t.Errorf("%d requests reached the server", r.requests)
	}
	const handshake, changeCipherSpec, longestAlert = 22, 20, 32
	records := r.received.Bytes()
	for first := true; len(records) >= 5; first = false {
		kind, length := records[0], int(binary.BigEndian.Uint16(records[3:]))
		if first && kind != handshake || !first && kind != changeCipherSpec && length > longestAlert {
			t.Errorf("a TLS record of type %d with %d bytes reached the server", kind, length)
		}
		records = records[min(5+length, len(records)):]
	}
	if bytes.Contains(r.received.Bytes(), []byte(bootstrapToken)) {
		t.Error("the bootstrap token reached the server")
	}
}

// join runs an agent against a server until it ends.
func join(t *testing.T, config agent.Config) (stateDir string, err error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	dir := t.TempDir()
	config.RootDir, config.StateDir = filepath.Join(dir, "root"), filepath.Join(dir, "state")
	if config.NodeName == "" {
		config.NodeName = "vm1"
	}
	if config.BootstrapToken == "" {
		config.BootstrapToken = bootstrapToken
	}
	return config.StateDir, agent.Run(ctx, config)
}
