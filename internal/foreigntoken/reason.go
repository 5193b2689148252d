package foreigntoken

import (
	"context"
	"errors"
	"strings"

	"github.com/mintmark/mintmark/internal/reason"
)

// reasons are the codes of the library's errors about OpenID Connect tokens, by how their texts begin. The library's
// errors have no types.
var reasons = []struct {
	text string
	code reason.Code
}{
	{"oidc: authenticator not initialized", reason.IssuerUnavailable},
	{"oidc: verify token: failed to verify signature: fetching keys", reason.IssuerUnavailable},
	{"oidc: verify token: failed to verify signature", reason.BadSignature},
	{"oidc: verify token: oidc: id token signed with unsupported algorithm", reason.AlgorithmNotAllowed},
	{"oidc: verify token: oidc: malformed jwt", reason.BadShape},
	{"oidc: verify token: oidc: failed to unmarshal claims", reason.BadClaims},
	{"oidc: verify token: oidc: expected audience", reason.AudienceMismatch},
	{"oidc: verify token: oidc: token is expired", reason.Expired},
	{"oidc: verify token: oidc: current time", reason.NotYetValid},
	{"oidc: parse claims", reason.BadClaims},
}

// Reason returns the code of an error about a token of an OpenID Connect issuer. The rules of the configuration (claims,
// audiences, expressions) refuse whatever has no code of its own.
func Reason(err error) reason.Code {
	if code := reason.Of(err); code != reason.None {
		return code
	}
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return reason.Undecided
	}
	text := err.Error()
	for _, known := range reasons {
		if strings.HasPrefix(text, known.text) {
			return known.code
		}
	}
	return reason.IssuerRefused
}
