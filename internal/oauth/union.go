package oauth

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/reason"
)

// InUnion returns the authenticator as one of several. It answers as a kube-apiserver does that has OpenShift's endpoint for a
// token webhook: without an error if none of the asked audiences is this server's. A token without the prefix, or one that
// is not stored, gets no error either, since another authenticator may know it. Every other refusal is final: no other
// authenticator is asked about a stored token.
func (a *Authenticator) InUnion() authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		if !strings.HasPrefix(token, Prefix) {
			return nil, false, nil
		}
		response, ok, err := a.AuthenticateToken(ctx, token)
		asked, limited := authenticator.AudiencesFrom(ctx)
		elsewhere := limited && len(a.APIAudiences.Intersect(asked)) == 0
		switch {
		case errors.Is(err, errLookup) && elsewhere:
			return nil, false, nil
		case errors.Is(err, errLookup):
			return nil, false, err
		case elsewhere:
			return nil, false, refusal{code: reason.AudienceMismatch}
		case err != nil:
			return nil, false, refusal{code: reason.Of(err), reason: err}
		}
		return response, ok, nil
	})
}

// refusal is why a stored token is refused; nil if clients are told no reason.
type refusal struct {
	code   reason.Code
	reason error
}

// Reason returns the code.
func (r refusal) Reason() reason.Code { return r.code }

// Error returns the reason.
func (r refusal) Error() string {
	if r.reason == nil {
		return "the token is for other audiences"
	}
	return r.reason.Error()
}

// Final returns the reason.
func (r refusal) Final() error { return r.reason }
