package certificates

import (
	"bytes"
	"context"
	"crypto"
	"crypto/tls"
	"errors"
	"fmt"
	"os"
	"sync"

	"k8s.io/klog/v2"
)

// Files is an authority in two PEM files. They are read at each use. While they can't be used, the authority that was read before
// holds on.
type Files struct {
	certificate, key string

	mu    sync.Mutex
	last  Authority
	texts [2][]byte
}

// NewFiles reads the authority in a file with one certificate and a file with its key.
func NewFiles(certificate, key string) (*Files, error) {
	f := &Files{certificate: certificate, key: key}
	return f, f.read()
}

// Authority returns the authority that is in the files.
func (f *Files) Authority(ctx context.Context) Authority {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.read(); err != nil {
		klog.FromContext(ctx).Error(err, "The files of the authority that signs certificates can't be used; the one that was read before goes on")
	}
	return f.last
}

func (f *Files) read() error {
	certificate, err := os.ReadFile(f.certificate)
	if err != nil {
		return err
	}
	key, err := os.ReadFile(f.key)
	if err != nil {
		return err
	}
	if bytes.Equal(certificate, f.texts[0]) && bytes.Equal(key, f.texts[1]) {
		return nil
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return fmt.Errorf("%w (in the files %s and %s)", err, f.certificate, f.key)
	}
	signer, ok := pair.PrivateKey.(crypto.Signer)
	leaf := pair.Leaf
	switch {
	case !ok:
		return fmt.Errorf("%s holds a key that can't sign", f.key)
	case len(pair.Certificate) != 1:
		return fmt.Errorf("%s holds %d certificates: leave the one of the authority in it", f.certificate, len(pair.Certificate))
	case leaf.BasicConstraintsValid && !leaf.IsCA, leaf.Version == 3 && !leaf.BasicConstraintsValid:
		return fmt.Errorf("%s: %w", f.certificate, errNoAuthority)
	}
	f.last, f.texts = Authority{leaf, signer}, [2][]byte{certificate, key}
	return nil
}

var errNoAuthority = errors.New("the certificate is not one of an authority (basic constraints, CA)")
