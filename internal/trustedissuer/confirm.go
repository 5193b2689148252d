package trustedissuer

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
)

// LiveCheck asks the cluster of an issuer about a token that was verified here. It must be safe for concurrent use.
type LiveCheck interface {
	// Confirm returns the response to answer with for a token of an issuer that has spec.liveCheck. It is called for every such
	// token that the issuer's keys and rules accept, remembered or not, and never for another. The issuer is shared and must not be
	// changed: another pointer is another version of the object. The audiences are those of the review that the token is good for,
	// and verified is the answer without the check; its user is shared. An error refuses the token. One with the method
	// Unavailable says that there is no verdict. The check is noted; notes may be nil.
	Confirm(ctx context.Context, issuer *v1alpha1.TrustedIssuer, token string, audiences authenticator.Audiences,
		verified *authenticator.Response, notes *reason.Checks) (*authenticator.Response, error)
}
