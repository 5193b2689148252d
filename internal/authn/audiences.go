package authn

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// unaware gives this server's audiences to the tokens of an authenticator that knows nothing of audiences, as
// WrapAudienceAgnosticToken of the library does. There, a review for other audiences goes on to the next authenticator.
// Here it ends with a token that this authenticator knows.
type unaware struct {
	audiences authenticator.Audiences
	tokens    authenticator.Token
	// knows reports whether a token is the authenticator's, good or not.
	knows func(ctx context.Context, token string) bool
}

// AuthenticateToken returns whose token it is, if it is asked for one of the audiences.
func (u unaware) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	asked, limited := authenticator.AudiencesFrom(ctx)
	if !limited {
		return u.tokens.AuthenticateToken(ctx, token)
	}
	audiences := u.audiences.Intersect(asked)
	if len(audiences) == 0 {
		if u.knows(ctx, token) {
			return nil, false, refusal{}
		}
		return nil, false, nil
	}
	response, ok, err := u.tokens.AuthenticateToken(ctx, token)
	if err != nil || !ok {
		return nil, false, err
	}
	response.Audiences = audiences
	return response, true, nil
}

// decides reports whether an authenticator has a verdict about a token.
func decides(tokens authenticator.Token) func(context.Context, string) bool {
	return func(ctx context.Context, token string) bool {
		_, ok, err := tokens.AuthenticateToken(ctx, token)
		return ok || err != nil
	}
}
