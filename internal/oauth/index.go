package oauth

import (
	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/view"
)

// Index is the live index of tokens, users, groups and clients, with as much of each as reviews need.
type Index struct {
	AccessTokens *view.View[AccessToken]
	Users        *view.View[User]
	Groups       *view.View[Group]
	Clients      *view.View[Client]

	memberships memberships
	scopes      scopes
}

// NewIndex returns an empty index. Its views follow the storage once they are decorated and run.
func NewIndex() *Index {
	x := &Index{
		Users:       view.New(userv1.Resource("users"), true, recordUser),
		Groups:      view.New(userv1.Resource("groups"), true, recordGroup),
		Clients:     view.New(oauthv1.Resource("oauthclients"), true, recordClient),
		memberships: newMemberships(),
		scopes:      newScopes(),
	}
	x.AccessTokens = view.New(oauthv1.Resource("oauthaccesstokens"), true, x.recordAccessToken)
	x.Groups.OnChange(x.memberships.changed)
	return x
}

// AccessToken is the record of an access token.
type AccessToken struct {
	UserName, UserUID string
	// Extra is the user's extra: the scopes. Many tokens share one, so it is never written to.
	Extra map[string][]string
	// Created is when, in Unix seconds. The next two count from it.
	Created int64
	// ExpiresIn is after how many seconds the token ends; 0 is never.
	ExpiresIn int64
	// IdleAfter is after how many seconds it ends unless it is used before; 0 is never. Use moves it on.
	IdleAfter int32
	// Deleted tokens wait for a finalizer.
	Deleted bool
}

// User is the record of a user.
type User struct{ UID string }

// Group is the record of a group. Its members are kept the other way round: see memberships.
type Group struct{}

// Client is the record of an OAuth client.
type Client struct {
	// IdleWindow is for how many seconds its tokens may idle, 0 for ever; nil leaves it to the server.
	IdleWindow *int32
}

func (x *Index) recordAccessToken(obj runtime.Object) AccessToken {
	token := obj.(*oauthv1.OAuthAccessToken)
	return AccessToken{
		UserName:  token.UserName,
		UserUID:   token.UserUID,
		Extra:     x.scopes.extra(token.Scopes),
		Created:   token.CreationTimestamp.Unix(),
		ExpiresIn: token.ExpiresIn,
		IdleAfter: token.InactivityTimeoutSeconds,
		Deleted:   token.DeletionTimestamp != nil,
	}
}

func recordUser(obj runtime.Object) User { return User{UID: string(obj.(*userv1.User).UID)} }

func recordGroup(runtime.Object) Group { return Group{} }

func recordClient(obj runtime.Object) Client {
	return Client{IdleWindow: obj.(*oauthv1.OAuthClient).AccessTokenInactivityTimeoutSeconds}
}
