package authn

import (
	"context"
	"errors"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// minSecret is the length from which on a token is looked for in texts. What is shorter could be any word.
const minSecret = 16

const redacted = "[token]"

// withoutToken keeps a token out of the reason why it is refused. Reasons are logged, and a webhook may put into its
// own whatever it was sent.
func withoutToken(tokens authenticator.Token) authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		response, ok, err := tokens.AuthenticateToken(ctx, token)
		if err != nil && len(token) >= minSecret && strings.Contains(err.Error(), token) {
			err = errors.New(strings.ReplaceAll(err.Error(), token, redacted))
		}
		return response, ok, err
	})
}
