package authn

import (
	"context"
	"errors"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/outbound"
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

// AuthenticateToken returns the first success, or all errors: one alone as it is.
func (c chain) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	var errs []error
	for _, known := range c.here {
		response, ok, err := ask(ctx, known, token)
		if ok && err == nil {
			return unlessRevoked(c.revoked, token, response)
		}
		if refusal, ok := errors.AsType[Final](err); ok {
			return nil, false, joined(append(errs, refusal.Final()), token)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if c.remote != nil && isCredential(token) {
		response, ok, err := ask(ctx, c.remote, token)
		if ok && err == nil {
			return unlessRevoked(c.revoked, token, response)
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	return nil, false, joined(errs, token)
}

// ask asks one authenticator. A token whose user has no name is refused for good.
func ask(ctx context.Context, known authenticator.Token, token string) (*authenticator.Response, bool, error) {
	response, ok, err := known.AuthenticateToken(ctx, token)
	if ok && err == nil && nameless(response.User.GetName()) {
		return nil, false, refusal{errNameless}
	}
	return response, ok, err
}

// joined returns the reasons without the token and shortened. Reasons are logged and shown, and a webhook may put into its
// reason whatever it was sent.
func joined(errs []error, token string) error {
	var reasons []error
	for _, err := range errs {
		if err != nil {
			reasons = append(reasons, outbound.ShortenError(withoutToken(err, token)))
		}
	}
	if len(reasons) == 1 {
		return reasons[0]
	}
	return utilerrors.NewAggregate(reasons)
}

// withoutToken returns an error whose text doesn't repeat the token.
func withoutToken(err error, token string) error {
	text := err.Error()
	if clean := outbound.WithoutSecret(text, token); clean != text {
		return errors.New(clean)
	}
	return err
}

// refusal is a Final with a reason; without one, clients are told nothing.
type refusal struct{ reason error }

// Error returns the reason.
func (r refusal) Error() string {
	if r.reason == nil {
		return "the token is refused"
	}
	return r.reason.Error()
}

// Final returns the reason.
func (r refusal) Final() error { return r.reason }

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
