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
func (a *Authenticator) InUnion() authenticator.Token { return inUnion{a} }

type inUnion struct{ *Authenticator }

// AuthenticateToken returns the user of a token.
func (u inUnion) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := u.Explain(ctx, token, nil)
	if _, unknown := reason.IsInvalid(err); unknown {
		return nil, false, nil
	}
	return response, err == nil, err
}

// Explain does the same, and notes the checks; notes may be nil.
func (u inUnion) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	if !strings.HasPrefix(token, Prefix) {
		return nil, reason.Invalid(reason.UnknownToken)
	}
	notes.Begin("AccessToken")
	response, err := u.explain(ctx, token, notes)
	asked, limited := authenticator.AudiencesFrom(ctx)
	elsewhere := limited && len(u.APIAudiences.Intersect(asked)) == 0
	switch {
	case errors.Is(err, errLookup) && elsewhere:
		return nil, reason.Invalid(reason.UnknownToken)
	case errors.Is(err, errLookup):
		return nil, err
	case elsewhere:
		elsewhere := refusal{code: reason.AudienceMismatch}
		if notes != nil {
			notes.Note("audience", elsewhere, reason.Quoted(asked), reason.Quoted(u.APIAudiences))
		}
		return nil, elsewhere
	case err != nil:
		return nil, refusal{code: reason.Of(err), reason: err}
	}
	return response, nil
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
