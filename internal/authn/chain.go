package authn

import (
	"context"
	"errors"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/foreigntoken"
	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// chain asks one authenticator of tokens after the other, as the library's union does: an error is no reason not to ask
// the next. Unlike there, an authenticator can refuse a token for good. The webhook comes last and is only sent what may
// be a credential.
type chain struct {
	here   []authenticator.Token
	remote authenticator.Token // nil if there is none
	// revoked knows the tokens that were taken back. It is asked about every token that an authenticator accepts, remembered
	// or not.
	revoked Revocations
}

// Final is the error of an authenticator that has recognised a token as one of its own and refuses it. No other
// authenticator is asked about that token, and the token is sent nowhere: another's yes must not undo the refusal.
type Final interface {
	error
	// Final returns the reason to tell, or nil if clients get none.
	Final() error
}

// Explainer is an authenticator that can be asked why.
type Explainer interface {
	// Explain returns whose a token is, as AuthenticateToken does, and notes the checks that it makes; notes may be nil. There
	// is always a response or an error: a token that is none of the authenticator's gets a reason.Invalid.
	Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error)
}

// AuthenticateToken returns the first success, or all errors: one alone as it is.
func (c chain) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	response, err := c.Explain(ctx, token, nil)
	return response, err == nil, err
}

// Explain does the same. Where no authenticator gives a reason, the error has just its code.
func (c chain) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	var errs []error
	unknown := reason.UnknownToken
	for _, known := range c.here {
		response, err := ask(ctx, known, token, notes)
		if err == nil {
			notes.Decided()
			return unlessRevoked(c.revoked, token, response, notes)
		}
		if code, ok := reason.IsInvalid(err); ok {
			if unknown == reason.UnknownToken {
				unknown = code
			}
			continue
		}
		if refusal, ok := errors.AsType[Final](err); ok {
			notes.Decided()
			return nil, final(refusal, errs, token)
		}
		errs = append(errs, err)
	}
	if c.remote != nil && isCredential(token) {
		response, err := ask(ctx, c.remote, token, notes)
		if err == nil {
			notes.Decided()
			return unlessRevoked(c.revoked, token, response, notes)
		}
		if code, ok := reason.IsInvalid(err); ok {
			unknown = code
		} else {
			errs = append(errs, err)
		}
	}
	if err := joined(errs, token); err != nil {
		return nil, err
	}
	return nil, reason.Invalid(unknown)
}

// final returns the error for a token that an authenticator refuses, after the errors of others.
func final(refusal Final, errs []error, token string) error {
	err := joined(append(errs, refusal.Final()), token)
	code := reason.Of(refusal)
	if err == nil {
		return reason.Invalid(code)
	}
	if _, several := errors.AsType[utilerrors.Aggregate](err); several || reason.Of(err) == code {
		return err
	}
	return reason.With(code, err)
}

// ask asks one authenticator. A token whose user has no name is refused for good.
func ask(ctx context.Context, known authenticator.Token, token string, notes *reason.Checks) (*authenticator.Response, error) {
	response, err := explain(ctx, known, token, notes)
	if err == nil && foreigntoken.Nameless(response.User.GetName()) {
		return nil, refusal{errNameless}
	}
	return response, err
}

// answer is an explanation as the answer of an authenticator.
func answer(response *authenticator.Response, err error) (*authenticator.Response, bool, error) {
	if _, unknown := reason.IsInvalid(err); unknown {
		return nil, false, nil
	}
	return response, err == nil, err
}

// explain asks an authenticator, which may be one that gives no reasons.
func explain(ctx context.Context, known authenticator.Token, token string, notes *reason.Checks) (*authenticator.Response, error) {
	if explainer, ok := known.(Explainer); ok {
		return explainer.Explain(ctx, token, notes)
	}
	response, ok, err := known.AuthenticateToken(ctx, token)
	if !ok && err == nil {
		err = reason.Invalid(reason.UnknownToken)
	}
	if notes != nil {
		notes.Note("token", err, "", "")
	}
	return response, err
}

// joined returns the reasons without the token and shortened. Reasons are logged and shown, and a webhook may put into its
// reason whatever it was sent.
func joined(errs []error, token string) error {
	var reasons []error
	for _, err := range errs {
		if err != nil {
			reasons = append(reasons, shown(err, token))
		}
	}
	if len(reasons) == 1 {
		return reasons[0]
	}
	return utilerrors.NewAggregate(reasons)
}

// shown is an error as clients may see it: without the token and shortened. It keeps its code.
func shown(err error, token string) error {
	short := outbound.ShortenError(withoutToken(err, token))
	if code := reason.Of(err); reason.Of(short) != code {
		return reason.With(code, short)
	}
	return short
}

// withoutToken returns an error whose text doesn't repeat the token.
func withoutToken(err error, token string) error {
	text := err.Error()
	if clean := outbound.WithoutSecret(text, token); clean != text {
		return errors.New(clean)
	}
	return err
}

// refusal is a Final with a reason.
type refusal struct{ error }

// Final returns the reason.
func (r refusal) Final() error { return r.error }

// Unwrap returns the reason.
func (r refusal) Unwrap() error { return r.error }

// silent is a Final with a code, of which clients are told nothing.
type silent reason.Code

// Error says that there was a refusal.
func (silent) Error() string { return "the token is refused" }

// Final returns nothing.
func (silent) Final() error { return nil }

// Reason returns the code.
func (s silent) Reason() reason.Code { return reason.Code(s) }

const (
	// maxRemote is the longest token that is sent to a webhook. HTTP servers take no header that is longer.
	maxRemote = 64 << 10
	// maxDots is the most that any token format has: JWE in compact serialization (RFC 7516 section 3.1).
	maxDots = 4
)

// isCredential reports whether a token is written as bearer tokens are (b64token in RFC 6750 section 2.1). It says
// nothing about what the token means: the webhook decides that.
func isCredential(token string) bool {
	if token == "" || len(token) > maxRemote {
		return false
	}
	dots := 0
	body := strings.TrimRight(token, "=")
	for i := range len(body) {
		switch b := body[i]; {
		case 'a' <= b && b <= 'z', 'A' <= b && b <= 'Z', '0' <= b && b <= '9', strings.IndexByte("-_~+/", b) >= 0:
		case b == '.':
			if dots++; dots > maxDots {
				return false
			}
		default:
			return false
		}
	}
	return body != ""
}
