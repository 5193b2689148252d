package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/client-go/util/keyutil"
)

const requestBlock = "CERTIFICATE REQUEST"

// pendingRequest is a key and the request for its certificate, in the file FILE.pending until FILE is written. So the key
// never leaves the machine, and the same command goes on with it when somebody has approved the request.
type pendingRequest struct {
	dir     *privateDir
	file    string
	key     crypto.Signer
	keyPEM  []byte
	request *x509.CertificateRequest
}

// pendingFor returns the request that waits for a file, or a new one. Either is on disk, and for this user and these groups.
func pendingFor(dir *privateDir, file, user string, groups []string) (*pendingRequest, error) {
	p := &pendingRequest{dir: dir, file: file + ".pending"}
	text, err := dir.read(p.file)
	if err != nil {
		return nil, fmt.Errorf("%w: it would hold the private key. Name another file with -o", err)
	}
	if text == nil {
		return p, p.make(user, groups)
	}
	if err := p.parse(text); err != nil {
		return nil, fmt.Errorf("%s does not hold a key and a request (%w): delete it to begin anew", p.path(), err)
	}
	subject := p.request.Subject
	if subject.CommonName != user || !slices.Equal(slices.Sorted(slices.Values(subject.Organization)), slices.Sorted(slices.Values(groups))) {
		return nil, fmt.Errorf("%s is a request for the user %q with the groups %q: name these, or delete it to begin anew", p.path(), subject.CommonName, subject.Organization)
	}
	return p, nil
}

func (p *pendingRequest) path() string { return p.dir.path(p.file) }

// make makes key and request, and stores them.
func (p *pendingRequest) make(user string, groups []string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user, Organization: groups}}, key)
	if err != nil {
		return err
	}
	keyPEM, err := keyutil.MarshalPrivateKeyToPEM(key)
	if err != nil {
		return err
	}
	text := append(slices.Clone(keyPEM), pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: der})...)
	if err := p.parse(text); err != nil {
		return err
	}
	return p.dir.write(p.file, text, false)
}

// parse reads what make wrote.
func (p *pendingRequest) parse(text []byte) error {
	parsed, err := keyutil.ParsePrivateKeyPEM(text)
	if err != nil {
		return err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	_, rest := pem.Decode(text)
	block, _ := pem.Decode(rest)
	if !ok || block == nil || block.Type != requestBlock {
		return errors.New("it has other parts")
	}
	request, err := x509.ParseCertificateRequest(block.Bytes)
	if err != nil {
		return err
	}
	if !key.PublicKey.Equal(request.PublicKey) {
		return errors.New("the request is for another key")
	}
	p.key, p.keyPEM, p.request = key, text[:len(text)-len(rest)], request
	return nil
}

// name is the name of the CertificateSigningRequest: the same request has the same name, so that it is found again.
func (p *pendingRequest) name() string {
	sum := sha256.Sum256(p.request.Raw)
	return "mintmark-" + hex.EncodeToString(sum[:10])
}

func (p *pendingRequest) pem() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: requestBlock, Bytes: p.request.Raw})
}

// check returns the certificate that came back, if it is one of the key and the user.
func (p *pendingRequest) check(certificate []byte) (*x509.Certificate, error) {
	block, _ := pem.Decode(certificate)
	if block == nil {
		return nil, errors.New("the server signed nothing that is a certificate")
	}
	signed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("the server signed nothing that is a certificate: %w", err)
	}
	if key, ok := p.key.Public().(*ecdsa.PublicKey); !ok || !key.Equal(signed.PublicKey) || signed.Subject.CommonName != p.request.Subject.CommonName {
		return nil, errors.New("the server signed a certificate for somebody else")
	}
	return signed, nil
}

// over removes the file, since the request is at its end.
func (p *pendingRequest) over() error {
	if err := p.dir.root.Remove(p.file); err != nil {
		return fmt.Errorf("%s is not needed any more, and can't be removed: %w", p.path(), err)
	}
	return nil
}

// told is how a user is named to a person.
func told(user string, groups []string) string {
	text := fmt.Sprintf("user %q", user)
	if len(groups) > 0 {
		text += fmt.Sprintf(", groups %s", strings.Join(groups, ", "))
	}
	return text
}
