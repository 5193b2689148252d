package oauth

import (
	"context"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// InUnion is the authenticator as one of several. It says what a kube-apiserver hears whose token webhook is
// OpenShift's endpoint: nothing, not even a reason, of a review for audiences of which none is this server's. And it
// says nothing of tokens that aren't written as ours, since others may know them.
func (a *Authenticator) InUnion() authenticator.Token {
	return authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		if !strings.HasPrefix(token, Prefix) {
			return nil, false, nil
		}
		response, ok, err := a.AuthenticateToken(ctx, token)
		if asked, limited := authenticator.AudiencesFrom(ctx); limited && len(a.APIAudiences.Intersect(asked)) == 0 {
			return nil, false, nil
		}
		return response, ok, err
	})
}
