package apiserver

import (
	"context"
	"sync"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// newOpenShiftReviewer decides OpenShift's reviews.
func (s *Server) newOpenShiftReviewer() *tokenreview.Reviewer {
	audiences := s.openShiftAudiences()
	return tokenreview.New(tokenreview.Config{Authenticator: s.accessTokens(audiences), APIAudiences: audiences, ReasonAlone: true})
}

// openShiftAudiences are those of OpenShift's reviews. They are the server's, but that --api-audiences= gives them none:
// other tokens have to be for somebody, and so the server has an audience even then.
func (s *Server) openShiftAudiences() authenticator.Audiences {
	if given := s.cfg.Tokens.APIAudiences; given != nil && len(given) == 0 {
		return nil
	}
	return s.keys.audiences
}

// accessTokens knows OpenShift's access tokens.
func (s *Server) accessTokens(audiences authenticator.Audiences) *oauth.Authenticator {
	return oauth.New(oauth.Config{
		Index:        s.oauth,
		APIAudiences: audiences,
		Idle:         s.idle,
		Secrets:      s.index.Secrets,
		Namespaces:   s.index.Namespaces,
	})
}

// stopTimeout bounds how long a stop waits for the last uses of access tokens to be written down.
const stopTimeout = 5 * time.Second

// keepIdleDeadlines has the idle deadlines of access tokens put off until the server ends.
func (s *Server) keepIdleDeadlines(background context.Context, running *sync.WaitGroup) {
	if !s.cfg.OpenShift {
		return
	}
	running.Go(func() {
		select {
		case <-s.ready:
			s.idle.Run(background)
		case <-background.Done():
		}
	})
	s.generic.AddPreShutdownHookOrDie("write-idle-deadlines", func() error {
		ctx, cancel := context.WithTimeout(background, stopTimeout)
		defer cancel()
		s.idle.Flush(ctx)
		return nil
	})
}

// tokenStore gets and updates access tokens as any client does.
type tokenStore struct{ *Server }

// Get returns an access token.
func (t tokenStore) Get(ctx context.Context, name string) (*oauthv1.OAuthAccessToken, error) {
	token := &oauthv1.OAuthAccessToken{}
	// It may have the code in it that it was bought with.
	err := t.tokens.Get().Resource("oauthaccesstokens").Name(name).Do(controller.WithoutBodies(ctx)).Into(token)
	return token, err
}

// Update stores an access token, unless it has been changed since it was got.
func (t tokenStore) Update(ctx context.Context, token *oauthv1.OAuthAccessToken) error {
	return t.tokens.Put().Resource("oauthaccesstokens").Name(token.Name).
		VersionedParams(&metav1.UpdateOptions{}, scheme.ParameterCodec).Body(token).Do(controller.WithoutBodies(ctx)).Error()
}
