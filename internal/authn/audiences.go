package authn

import (
	"context"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/reason"
)

// unaware gives this server's audiences to the tokens of an authenticator that knows nothing of audiences, as
// WrapAudienceAgnosticToken of the library does. There, a review for other audiences goes on to the next authenticator.
// Here it ends with a token that this authenticator knows.
type unaware struct {
	name      string
	audiences authenticator.Audiences
	tokens    authenticator.Token
	// knows reports whether a token is the authenticator's, good or not.
	knows func(ctx context.Context, token string) bool
}

// AuthenticateToken returns whose token it is, if it is asked for one of the audiences.
func (u unaware) AuthenticateToken(ctx context.Context, token string) (*authenticator.Response, bool, error) {
	return answer(u.Explain(ctx, token, nil))
}

// Explain does the same.
func (u unaware) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	notes.Begin(u.name)
	asked, limited := authenticator.AudiencesFrom(ctx)
	if !limited {
		return explain(ctx, u.tokens, token, notes)
	}
	audiences := u.audiences.Intersect(asked)
	if len(audiences) == 0 {
		if !u.knows(ctx, token) {
			return nil, reason.Invalid(reason.UnknownToken)
		}
		refused := silent(reason.AudienceMismatch)
		u.note(notes, refused, asked)
		return nil, refused
	}
	response, err := explain(ctx, u.tokens, token, notes)
	if err != nil {
		return nil, err
	}
	u.note(notes, nil, asked)
	response.Audiences = audiences
	return response, nil
}

func (u unaware) note(notes *reason.Checks, refused error, asked authenticator.Audiences) {
	if notes != nil {
		notes.Note("audience", refused, reason.Quoted(asked), reason.Quoted(u.audiences))
	}
}

// decides reports whether an authenticator has a verdict about a token.
func decides(tokens authenticator.Token) func(context.Context, string) bool {
	return func(ctx context.Context, token string) bool {
		_, ok, err := tokens.AuthenticateToken(ctx, token)
		return ok || err != nil
	}
}
