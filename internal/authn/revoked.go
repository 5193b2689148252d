package authn

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/reason"
)

// Revocations tells which tokens and client certificates were taken back. It must be safe for concurrent use.
type Revocations interface {
	// Check returns the refusal of a token that was taken back, whose user is owner; nil if it was not.
	Check(token string, owner user.Info) error
	// CheckCertificate returns the refusal of a client certificate that was taken back, by its common name and when it was issued,
	// in seconds since the epoch; nil if it was not.
	CheckCertificate(commonName string, issuedAt int64) error
}

// unlessRevoked returns an authenticator's yes, unless the token was taken back. Notes may be nil.
func unlessRevoked(revoked Revocations, token string, response *authenticator.Response, notes *reason.Checks) (*authenticator.Response, error) {
	if revoked == nil {
		return response, nil
	}
	err := revoked.Check(token, response.User)
	if notes != nil {
		notes.Note("revocation", err, "no TokenRevocation that covers the token", "")
	}
	if err != nil {
		return nil, err
	}
	return response, nil
}

// Unrevoked is an authenticator outside the union that refuses tokens which were taken back, all with the same error.
type Unrevoked struct {
	authenticator.Token
	Revocations Revocations
	Refusal     error
}

// AuthenticateToken returns whose token it is.
func (u Unrevoked) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, ok, err := u.Token.AuthenticateToken(ctx, token)
	if err != nil || !ok {
		return nil, false, err
	}
	if _, err := unlessRevoked(u.Revocations, token, response, nil); err != nil {
		return nil, false, u.Refusal
	}
	return response, true, nil
}
