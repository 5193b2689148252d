package authn

import (
	"bytes"
	"crypto/sha256"
	"crypto/x509"
	"net/http"
	"slices"
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

// Signer is what issues client certificates here: the signer of CertificateSigningRequests, and the administrator's certificate.
type Signer struct {
	// Authorities are the certificates with which it signs. Nil means that there is none.
	Authorities func() []*x509.Certificate
	// Backdate is how long before the signing its certificates begin.
	Backdate time.Duration
}

// issuedAt returns when a certificate was issued, in seconds since the epoch. Of a certificate of another authority only its beginning
// is known: it was issued then, or later.
func (s Signer) issuedAt(certificate *x509.Certificate, by *x509.Certificate) int64 {
	at := certificate.NotBefore
	if by != nil && s.Authorities != nil && slices.ContainsFunc(s.Authorities(), func(own *x509.Certificate) bool {
		return bytes.Equal(own.RawSubjectPublicKeyInfo, by.RawSubjectPublicKeyInfo)
	}) {
		at = at.Add(s.Backdate)
	}
	return at.Unix()
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
	// revoked is asked about each certificate, remembered or not; nil if there is none.
	revoked Revocations
	signer  Signer
}

// authorities are the authorities of one bundle.
type authorities struct {
	bundle  []byte
	options x509.VerifyOptions
}

// certified is a user who came with a client certificate. It has the group of all who have proved who they are, so that it
// need not be added at every request.
type certified struct {
	user.DefaultInfo
	issuedAt int64
}

// FromClientCertificate marks the user. No other authenticator, no impersonation and no access review makes one that has it,
// whatever name and extra it has.
func (*certified) FromClientCertificate() {}

// Certificate returns the common name of the certificate and when it was issued, in seconds since the epoch.
func (c *certified) Certificate() (commonName string, issuedAt int64) { return c.Name, c.issuedAt }

// vouched is the user of a verified certificate, the authorities that verified it, and the time within which it is valid.
type vouched struct {
	by          *authorities
	user        *certified
	from, until time.Time
}

const (
	// certificateBytes bounds the memory for verified certificates.
	certificateBytes = 1 << 20
	// vouchedBytes is about the memory for one certificate, beside the names.
	vouchedBytes = 1 << 10
)

func newCertificates(ca ClientCA, revoked Revocations, signer Signer) *certificates {
	c := &certificates{ca: ca, revoked: revoked, signer: signer, known: cache.New[vouched](certificateBytes)}
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
		return c.unlessRevoked(known.user, &authenticator.Response{User: known.user})
	}
	response, ok, err := c.ask.AuthenticateRequest(r)
	if err != nil || !ok {
		return response, ok, err
	}
	who := &certified{*authenticated(response.User), c.signer.issuedAt(r.TLS.PeerCertificates[0], nil)}
	response.User = who
	if by == nil {
		return c.unlessRevoked(who, response)
	}
	if vouched, ok := by.vouch(r.TLS.PeerCertificates, who, c.signer); ok {
		c.known.Add(key, vouched, vouchedBytes+2*len(who.Name))
	}
	return c.unlessRevoked(who, response)
}

// unlessRevoked returns a certificate's user, unless the certificate was taken back.
func (c *certificates) unlessRevoked(who *certified, response *authenticator.Response) (*authenticator.Response, bool, error) {
	if c.revoked != nil {
		if err := c.revoked.CheckCertificate(who.Certificate()); err != nil {
			return nil, false, err
		}
	}
	return response, true, nil
}

// unrevokedProxy is an authenticator of request headers that believes no proxy whose client certificate was taken back. Proxies have
// authorities of their own, so when such a certificate was issued is known by its beginning alone.
type unrevokedProxy struct {
	authenticator.Request
	revoked Revocations
	signer  Signer
}

// AuthenticateRequest returns the user that a proxy names.
func (p unrevokedProxy) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	response, ok, err := p.Request.AuthenticateRequest(r)
	if err != nil || !ok || p.revoked == nil {
		return response, ok, err
	}
	proxy := r.TLS.PeerCertificates[0]
	if err := p.revoked.CheckCertificate(proxy.Subject.CommonName, p.signer.issuedAt(proxy, nil)); err != nil {
		return nil, false, err
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
// lead to an authority. It notes when the certificate was issued, which that chain tells.
func (a *authorities) vouch(presented []*x509.Certificate, who *certified, signer Signer) (vouched, bool) {
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
	if len(chains[0]) > 1 {
		who.issuedAt = signer.issuedAt(presented[0], chains[0][1])
	}
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
