package authn

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// Revocations tells which tokens were taken back. It must be safe for concurrent use.
type Revocations interface {
	// Check returns the refusal of a token that was taken back, whose user is owner; nil if it was not.
	Check(token string, owner user.Info) error
}

// unlessRevoked returns an authenticator's yes, unless the token was taken back.
func unlessRevoked(revoked Revocations, token string, response *authenticator.Response) (*authenticator.Response, bool, error) {
	if revoked != nil {
		if err := revoked.Check(token, response.User); err != nil {
			return nil, false, err
		}
	}
	return response, true, nil
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
	if response, ok, err = unlessRevoked(u.Revocations, token, response); err != nil {
		return nil, false, u.Refusal
	}
	return response, ok, nil
}
