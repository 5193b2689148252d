package oauth

import (
	"context"
	"strings"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// InUnion returns the authenticator as one of several. It answers as a kube-apiserver does that has OpenShift's endpoint for a
// token webhook: without an error if none of the asked audiences is this server's. A token without the prefix gets no error
// either, since another authenticator may know it.
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
