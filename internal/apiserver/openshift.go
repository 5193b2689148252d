package apiserver

import (
	"context"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/authn"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/revocation"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// openShift is the part of the server that is there for OpenShift's API alone.
type openShift struct {
	index *oauth.Index
	// idle puts off the idle deadlines of access tokens that are used.
	idle *oauth.Idle
	// tokens is the authenticator of access tokens in the union of all authenticators.
	tokens authenticator.Token
	// reviewer decides OpenShift's reviews.
	reviewer *tokenreview.Reviewer
}

// newOpenShift returns nil where OpenShift's API is not served.
func newOpenShift(cfg Config, keys *keys, index *boundobject.Index, revoked *revocation.Set, client rest.Interface) *openShift {
	if !cfg.OpenShift {
		return nil
	}
	o := &openShift{index: oauth.NewIndex()}
	o.idle = oauth.NewIdle(oauth.IdleConfig{Index: o.index, Window: cfg.IdleWindow, Store: tokenStore{client}, Now: cfg.now()})
	accessTokens := func(audiences authenticator.Audiences) *oauth.Authenticator {
		return oauth.New(oauth.Config{
			Index: o.index, APIAudiences: audiences, Idle: o.idle, Secrets: index.Secrets, Namespaces: index.Namespaces,
			Now: cfg.now(),
		})
	}
	o.tokens = accessTokens(keys.audiences).InUnion()
	// The audiences of OpenShift's reviews are the server's. Only --api-audiences= differs: it gives these reviews none, while
	// the server keeps its issuers as audiences, since a service account token must have one.
	audiences := keys.audiences
	if given := cfg.Tokens.APIAudiences; given != nil && len(given) == 0 {
		audiences = nil
	}
	// This endpoint has an authenticator of its own, which asks about revocations likewise. A token that was taken back is as if
	// it was not stored.
	reviewed := authn.Unrevoked{Token: accessTokens(audiences), Revocations: revoked, Refusal: reason.New(reason.Revoked, oauth.LookupText)}
	o.reviewer = tokenreview.New(tokenreview.Config{Authenticator: reviewed, APIAudiences: audiences, ReasonAlone: true})
	return o
}

// stopTimeout bounds how long a stop waits for the last uses of access tokens to be written down.
const stopTimeout = 5 * time.Second

// services returns the services that OpenShift's API needs while a server is ready, and has the last uses of access tokens
// written down before it stops.
func (o *openShift) services(server *genericapiserver.GenericAPIServer) []service {
	if o == nil {
		return nil
	}
	server.AddPreShutdownHookOrDie("write-idle-deadlines", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), stopTimeout)
		defer cancel()
		o.idle.Flush(ctx)
		return nil
	})
	return []service{o.idle.Run}
}

// tokenStore gets and updates access tokens as any client does.
type tokenStore struct{ client rest.Interface }

// Get returns an access token.
func (t tokenStore) Get(ctx context.Context, name string) (*oauthv1.OAuthAccessToken, error) {
	token := &oauthv1.OAuthAccessToken{}
	// The object may hold the code that the token was traded for.
	err := t.client.Get().Resource("oauthaccesstokens").Name(name).Do(controller.WithoutBodies(ctx)).Into(token)
	return token, err
}

// Update stores an access token, unless it has been changed since it was got.
func (t tokenStore) Update(ctx context.Context, token *oauthv1.OAuthAccessToken) error {
	return t.client.Put().Resource("oauthaccesstokens").Name(token.Name).
		VersionedParams(&metav1.UpdateOptions{}, scheme.ParameterCodec).Body(token).Do(controller.WithoutBodies(ctx)).Error()
}
