package admission

import (
	"context"
	"time"

	certificatesv1 "k8s.io/api/certificates/v1"
	"k8s.io/apiserver/pkg/admission"

	"github.com/mintmark/mintmark/internal/certificates"
)

// NodeBootstrap lets a bootstrap token for one node ask for a client certificate of that node, and for no other certificate. Upstream
// has no such tokens. The approving controller holds requests to the same rules, and to one key for each token.
type NodeBootstrap struct {
	// Secrets are read at every request of a bootstrap token.
	Secrets certificates.Secrets
	// Now is the clock of tokens.
	Now func() time.Time
}

var _ interface {
	admission.Interface
	admission.ValidationInterface
} = NodeBootstrap{}

// Handles reports whether requests of a kind are checked.
func (NodeBootstrap) Handles(operation admission.Operation) bool {
	return operation == admission.Create
}

// Validate refuses a new certificate signing request that the token of its requester is not good for.
func (n NodeBootstrap) Validate(ctx context.Context, a admission.Attributes, _ admission.ObjectInterfaces) error {
	csr, ok := a.GetObject().(*certificatesv1.CertificateSigningRequest)
	if !ok || a.GetSubresource() != "" {
		return nil
	}
	requester := a.GetUserInfo()
	secret, err := certificates.FindToken(ctx, n.Secrets, requester.GetName())
	if err != nil || !certificates.ForOneNode(requester.GetGroups(), secret) {
		return err
	}
	request, err := certificates.Parse(csr.Spec.Request)
	if err != nil {
		return admission.NewForbidden(a, err)
	}
	if err := certificates.CheckNode(secret, csr.Spec.SignerName, request, n.Now()); err != nil {
		return admission.NewForbidden(a, err)
	}
	return nil
}
