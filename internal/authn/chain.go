package authn

import (
	"context"
	"errors"
	"strings"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// chain asks one authenticator of tokens after the other, as the library's union does: an error is no reason not to ask
// the next. Last comes one that is far away, and what can't be a credential of anybody's is kept from it.
type chain struct {
	here   []authenticator.Token
	remote authenticator.Token // nil if there is none
}

// AuthenticateToken returns the first success, or all errors: one alone as it is.
func (c chain) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	var errs []error
	final := c.remote == nil
	for _, known := range c.here {
		response, ok, err := known.AuthenticateToken(ctx, token)
		if ok && err == nil {
			return response, true, nil
		}
		if err != nil {
			errs = append(errs, err)
			final = final || namesUnknownKey(err)
		}
	}
	if !final && isCredential(token) {
		response, ok, err := c.remote.AuthenticateToken(ctx, token)
		if ok && err == nil {
			return response, true, nil
		}
		if err != nil {
			errs = append(errs, err)
		}
	}
	if len(errs) == 1 {
		return nil, false, errs[0]
	}
	return nil, false, utilerrors.NewAggregate(errs)
}

// namesUnknownKey reports whether a token claims an issuer of ours and a key that we don't have. No other key signs for
// that issuer, so whoever sent the token made it up, or it is long out of date.
func namesUnknownKey(err error) bool {
	_, ok := errors.AsType[unknownKey](err)
	return ok
}

// unknownKey is the error of a token that names a key which its issuer doesn't have.
type unknownKey interface {
	error
	UnknownKey()
}

const (
	// maxRemote is the longest token that is sent to a webhook. HTTP servers take no header that is longer.
	maxRemote = 64 << 10
	// maxDots is the most that any token format has: JWE in compact serialization (RFC 7516 section 3.1).
	maxDots = 4
)

// isCredential reports whether a token is written as bearer tokens are (b64token in RFC 6750 section 2.1). It says
// nothing about what the token means: that is for the webhook to know.
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
