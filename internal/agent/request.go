package agent

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/keyutil"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
)

const (
	// The approval is awaited by asking, ever less often: errors of the server show at once, unlike in client-go's informer.
	firstLook = 200 * time.Millisecond
	lastLook  = 5 * time.Second
	// approvalTold is how long a request waits before the log says that somebody has to approve it.
	approvalTold = 10 * time.Second
)

// certificateRequest asks for a client certificate of a node.
type certificateRequest struct {
	client kubernetes.Interface
	clock  clock.Clock
	node   string
	key    *ecdsa.PrivateKey
	// name is the name of the request. A request of that name for the same key is taken over. Empty means that the server names it.
	name string
}

// refusedError says that a request was denied or can't be signed. Another try has the same end.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// pairPEM returns a certificate and its key in PEM.
func (r *certificateRequest) pairPEM(ctx context.Context) ([]byte, error) {
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{
		Subject: pkix.Name{CommonName: nodeUserPrefix + r.node, Organization: []string{nodesGroup}},
	}, r.key)
	if err != nil {
		return nil, err
	}
	name, err := r.create(ctx, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	if err != nil {
		return nil, err
	}
	signed, err := r.wait(ctx, name)
	if err != nil {
		return nil, err
	}
	key, err := keyutil.MarshalPrivateKeyToPEM(r.key)
	if err != nil {
		return nil, err
	}
	pair := append(signed, key...)
	if _, err := tls.X509KeyPair(pair, pair); err != nil {
		return nil, fmt.Errorf("the certificate that the server signed can't be used: %w", err)
	}
	return pair, nil
}

// create creates the request and returns its name. One that exists is of an earlier try, since the name follows from the key; if it
// is not, its certificate won't have the key. client-go's helper hides why a connection failed, so it isn't used.
func (r *certificateRequest) create(ctx context.Context, request []byte) (string, error) {
	object := &certificatesv1.CertificateSigningRequest{
		ObjectMeta: metav1.ObjectMeta{Name: r.name},
		Spec: certificatesv1.CertificateSigningRequestSpec{
			Request:    request,
			SignerName: certificatesv1.KubeAPIServerClientKubeletSignerName,
			Usages:     []certificatesv1.KeyUsage{certificatesv1.UsageDigitalSignature, certificatesv1.UsageClientAuth},
		},
	}
	if r.name == "" {
		object.GenerateName = "csr-"
	}
	created, err := r.client.CertificatesV1().CertificateSigningRequests().Create(ctx, object, metav1.CreateOptions{})
	if r.name != "" && apierrors.IsAlreadyExists(err) {
		return r.name, nil
	}
	if err != nil {
		return "", err
	}
	return created.Name, nil
}

// wait returns the certificate of a request once it is signed.
func (r *certificateRequest) wait(ctx context.Context, name string) ([]byte, error) {
	began, told := r.clock.Now(), false
	for pause := firstLook; ; pause = min(2*pause, lastLook) {
		found, err := r.client.CertificatesV1().CertificateSigningRequests().Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return nil, err
		}
		if signed, err := outcome(found); err != nil || signed != nil {
			return signed, err
		}
		if !told && r.clock.Since(began) >= approvalTold {
			told = true
			klog.FromContext(ctx).Info("The request for a certificate waits for an administrator: kubectl certificate approve "+name, "node", r.node)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.clock.After(pause):
		}
	}
}

// outcome returns the certificate of a request, nothing if it is still waited for, or why there will be none.
func outcome(request *certificatesv1.CertificateSigningRequest) ([]byte, error) {
	approved := false
	for _, c := range request.Status.Conditions {
		switch c.Type {
		case certificatesv1.CertificateApproved:
			approved = true
		case certificatesv1.CertificateDenied:
			return nil, &refusedError{fmt.Sprintf("the request %s for a certificate was denied: %s", request.Name, said(c))}
		case certificatesv1.CertificateFailed:
			return nil, &refusedError{fmt.Sprintf("the request %s for a certificate can't be signed: %s", request.Name, said(c))}
		}
	}
	if !approved || len(request.Status.Certificate) == 0 {
		return nil, nil
	}
	return request.Status.Certificate, nil
}

func said(c certificatesv1.CertificateSigningRequestCondition) string {
	if c.Message != "" {
		return c.Message
	}
	return c.Reason
}

func newKey() (*ecdsa.PrivateKey, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

// parseKey reads a private key in PEM.
func parseKey(data []byte) (*ecdsa.PrivateKey, error) {
	key, err := keyutil.ParsePrivateKeyPEM(data)
	if err != nil {
		return nil, err
	}
	if ecdsaKey, ok := key.(*ecdsa.PrivateKey); ok {
		return ecdsaKey, nil
	}
	return nil, errors.New("it holds no ECDSA key")
}

// spki returns the SubjectPublicKeyInfo of a key.
func spki(key crypto.Signer) ([]byte, error) { return x509.MarshalPKIXPublicKey(key.Public()) }
