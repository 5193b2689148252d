package authn

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"sync/atomic"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	x509request "k8s.io/apiserver/pkg/authentication/request/x509"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/cache"
)

// ClientCA returns the authorities that verify client certificates. The options are made from the bundle: while the
// bundle stays the same, so does the meaning of the options.
type ClientCA interface {
	CurrentCABundleContent() []byte
	VerifyOptions() (x509.VerifyOptions, bool)
}

// certificates authenticates client certificates. A verified certificate is cached until the authorities change or a
// certificate of its chain ends: a connection brings the same certificate with each request, and verifying it takes longer
// than all other decisions about a request.
type certificates struct {
	ca ClientCA
	// ask checks a certificate.
	ask     authenticator.Request
	current atomic.Pointer[authorities]
	known   *cache.Cache[vouched]
}

// authorities are the authorities of one bundle.
type authorities struct {
	bundle  []byte
	options x509.VerifyOptions
}

// certified is a user who came with a client certificate. It has the group of all who have proved who they are, so that it
// need not be added at every request.
type certified struct{ *user.DefaultInfo }

// FromClientCertificate marks the user. No other authenticator, no impersonation and no access review makes one that has it,
// whatever name and extra it has.
func (certified) FromClientCertificate() {}

// vouched is the user of a verified certificate, the authorities that verified it, and the time within which it is valid.
type vouched struct {
	by          *authorities
	user        certified
	from, until time.Time
}

const (
	// certificateBytes bounds the memory for verified certificates.
	certificateBytes = 1 << 20
	// vouchedBytes is about the memory for one certificate, beside the names.
	vouchedBytes = 1 << 10
)

func newCertificates(ca ClientCA) *certificates {
	c := &certificates{ca: ca, known: cache.New[vouched](certificateBytes)}
	c.ask = x509request.NewDynamic(c.options, x509request.CommonNameUserConversion)
	return c
}

// AuthenticateRequest returns the user of the certificate of a request, if it has one.
func (c *certificates) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil, false, nil
	}
	now := time.Now()
	by, key := c.authorities(), keyOf(r.TLS.PeerCertificates)
	if known, ok := c.known.Get(key); ok && by != nil && known.by == by && !now.Before(known.from) && !now.After(known.until) {
		return &authenticator.Response{User: known.user}, true, nil
	}
	response, ok, err := c.ask.AuthenticateRequest(r)
	if err != nil || !ok {
		return response, ok, err
	}
	who := certified{authenticated(response.User)}
	response.User = who
	if by == nil {
		return response, true, nil
	}
	if vouched, ok := by.vouch(r.TLS.PeerCertificates, who); ok {
		c.known.Add(key, vouched, vouchedBytes+2*len(who.Name))
	}
	return response, true, nil
}

// authorities returns the current ones; nil if there are none.
func (c *certificates) authorities() *authorities {
	bundle := c.ca.CurrentCABundleContent()
	known := c.current.Load()
	if known != nil && bytes.Equal(known.bundle, bundle) {
		return known
	}
	options, ok := c.ca.VerifyOptions()
	// They may have changed since the bundle was read.
	if !ok || !bytes.Equal(bundle, c.ca.CurrentCABundleContent()) {
		return nil
	}
	current := &authorities{bundle: bytes.Clone(bundle), options: options}
	c.current.Store(current)
	return current
}

// options are the current ones, for the library.
func (c *certificates) options() (x509.VerifyOptions, bool) {
	if by := c.authorities(); by != nil {
		return by.options, true
	}
	return c.ca.VerifyOptions()
}

// vouch returns the user of a verified certificate and how long it stays valid: as long as the first of the chains that
// lead to an authority.
func (a *authorities) vouch(presented []*x509.Certificate, who certified) (vouched, bool) {
	options := a.options
	if options.Intermediates == nil {
		options.Intermediates = x509.NewCertPool()
		for _, certificate := range presented[1:] {
			options.Intermediates.AddCert(certificate)
		}
	}
	chains, err := presented[0].Verify(options)
	if err != nil || len(chains) == 0 {
		return vouched{}, false
	}
	v := vouched{by: a, user: who, from: chains[0][0].NotBefore, until: chains[0][0].NotAfter}
	for _, certificate := range chains[0][1:] {
		if certificate.NotBefore.After(v.from) {
			v.from = certificate.NotBefore
		}
		if certificate.NotAfter.Before(v.until) {
			v.until = certificate.NotAfter
		}
	}
	return v, true
}

// keyOf is a key for the certificates that a client presents.
func keyOf(presented []*x509.Certificate) cache.Key {
	if len(presented) == 1 {
		return sha256.Sum256(presented[0].Raw)
	}
	all := sha256.New()
	for _, certificate := range presented {
		one := sha256.Sum256(certificate.Raw)
		all.Write(one[:])
	}
	return cache.Key(all.Sum(nil))
}
