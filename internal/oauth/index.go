package oauth

import (
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mintmark/mintmark/internal/informer"
)

// Index is the live index: of every object that says whose an access token is, what a review takes.
type Index struct {
	AccessTokens *informer.Informer[AccessToken]
	Clients      *informer.Informer[Client]
	Users        *informer.Informer[User]
	Groups       *informer.Informer[Group]
}

// NewIndex returns an empty index. Its views follow the storage once they are decorated and run.
func NewIndex() *Index {
	return &Index{
		AccessTokens: informer.New(oauthv1.Resource("oauthaccesstokens"), true, recordAccessToken),
		Clients:      informer.New(oauthv1.Resource("oauthclients"), true, recordClient),
		Users:        informer.New(userv1.Resource("users"), true, recordUser),
		Groups:       informer.New(userv1.Resource("groups"), true, recordGroup),
	}
}

// AccessToken is what is kept of an access token. Its name is made from the token, which is nowhere.
type AccessToken struct {
	Client   string
	UserName string
	UserUID  types.UID
	Scopes   []string
	Created  time.Time
	// ExpiresIn is the life of the token in seconds, 0 for one without end.
	ExpiresIn int64
	// InactivityTimeout is the deadline of the next use, in seconds since the token was made, 0 for none.
	InactivityTimeout int32
	// Deleted tokens are still there because somebody's finalizer is.
	Deleted bool
}

// Client is what is kept of a client.
type Client struct {
	// InactivityTimeout is how long, in seconds, a token may go unused: 0 for ever, nil as long as the server says.
	InactivityTimeout *int32
}

// User is what is kept of a user.
type User struct{ UID types.UID }

// Group is what is kept of a group.
type Group struct{ Users []string }

func recordAccessToken(obj runtime.Object) AccessToken {
	token := obj.(*oauthv1.OAuthAccessToken)
	return AccessToken{
		Client:            token.ClientName,
		UserName:          token.UserName,
		UserUID:           types.UID(token.UserUID),
		Scopes:            token.Scopes,
		Created:           token.CreationTimestamp.Time,
		ExpiresIn:         token.ExpiresIn,
		InactivityTimeout: token.InactivityTimeoutSeconds,
		Deleted:           token.DeletionTimestamp != nil,
	}
}

func recordClient(obj runtime.Object) Client {
	return Client{InactivityTimeout: obj.(*oauthv1.OAuthClient).AccessTokenInactivityTimeoutSeconds}
}

func recordUser(obj runtime.Object) User { return User{UID: obj.(*userv1.User).UID} }

func recordGroup(obj runtime.Object) Group { return Group{Users: obj.(*userv1.Group).Users} }
