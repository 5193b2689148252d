package controller

import (
	"context"
	"crypto/x509"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/certificates"
)

// nodeToken is the bootstrap token for one node that a requester came with; nil for other requesters. The secret is nil if it
// is gone.
type nodeToken struct{ secret *corev1.Secret }

// nodeTokenOf reads the bootstrap token of a requester as it is stored now.
func (cfg Config) nodeTokenOf(ctx context.Context, csr *certificatesv1.CertificateSigningRequest) (*nodeToken, error) {
	secret, err := certificates.FindToken(ctx, cfg.Index.Secrets, csr.Spec.Username)
	if err != nil || !certificates.ForOneNode(csr.Spec.Groups, secret) {
		return nil, err
	}
	return &nodeToken{secret}, nil
}

// check returns why a token is not good for a request, or nil.
func (t *nodeToken) check(csr *certificatesv1.CertificateSigningRequest, request *x509.CertificateRequest, now time.Time) error {
	if t == nil {
		return nil
	}
	return certificates.CheckNode(t.secret, csr.Spec.SignerName, request, now)
}

// claim notes in the secret of a token that the key of a request used it, or returns why it can't. If two requests come at once,
// to replicas that both believe they lead, only one of the writes succeeds. The other request finds the note when it is
// looked at again.
func (cfg Config) claim(ctx context.Context, token *nodeToken, request *x509.CertificateRequest) (refused, err error) {
	if token == nil {
		return nil, nil
	}
	secret := token.secret
	_, err = cfg.Index.Nodes.Read(ctx, "", string(secret.Data[certificates.NodeNameKey]))
	// BadRequest is for names that no node can have.
	if err != nil && !apierrors.IsNotFound(err) && !apierrors.IsBadRequest(err) {
		return nil, err
	}
	first, refused := certificates.CheckFirst(secret, request, err == nil)
	if refused != nil || !first {
		return refused, nil
	}
	secret.Data[certificates.UsedByKey] = []byte(certificates.KeyHash(request))
	_, err = cfg.Client.CoreV1().Secrets(secret.Namespace).Update(ctx, secret, metav1.UpdateOptions{})
	if apierrors.IsNotFound(err) {
		err = pending("the secret of the bootstrap token is gone") // it is looked at again
	}
	return nil, err
}
