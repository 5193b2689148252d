package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
	userv1 "github.com/openshift/api/user/v1"
	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/oauth"
)

const (
	// defaultOAuthClient is the client of opaque tokens that are made here. It is made, too, if it isn't there.
	defaultOAuthClient = "mintmark-cli"
	// redirectURI is where a browser would be sent that had asked for a token. Every client and token names one.
	redirectURI = "http://127.0.0.1/callback"
	// defaultOpaqueLife is OpenShift's.
	defaultOpaqueLife = 24 * time.Hour
)

// opaqueToken is what the flags say of an opaque token.
type opaqueToken struct {
	wanted bool
	user   string
	client string
	scopes []string
}

func (o *opaqueToken) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.BoolVar(&o.wanted, "opaque", false, "Create an opaque access token of OpenShift for a user, instead of a service account's; the server needs --openshift-api")
	flags.StringVar(&o.user, "user", "", "User whose opaque token it is")
	flags.StringVar(&o.client, "client", defaultOAuthClient, "OAuthClient of the opaque token; the default one is created if it isn't there")
	flags.StringArrayVar(&o.scopes, "scope", []string{"user:full"}, "Scope of the opaque token; may be repeated")
	completeFlag(cmd, "user")
	completeFlag(cmd, "client")
	completeFlag(cmd, "scope", "user:full", "user:info", "user:check-access")
}

// validate refuses flags that mean nothing together.
func (o *opaqueToken) validate(cmd *cobra.Command, args []string) error {
	ours, theirs := []string{"user", "client", "scope"}, []string{"namespace", "audience", "bound-object-kind", "bound-object-name", "bound-object-uid", "output", flagExecCredential}
	given := func(names []string) string {
		i := slices.IndexFunc(names, cmd.Flags().Changed)
		if i < 0 {
			return ""
		}
		return names[i]
	}
	switch {
	case !o.wanted && given(ours) != "":
		return usageErrorf(cmd, "--%s is about opaque tokens: give --opaque, too", given(ours))
	case !o.wanted:
		return nil
	case len(args) > 0 || o.user == "":
		return usageErrorf(cmd, "an opaque token is a user's: name the user with --user, and no account")
	case given(theirs) != "":
		return usageErrorf(cmd, "--%s is about tokens of service accounts: leave it out", given(theirs))
	case o.client == "":
		return usageErrorf(cmd, "--client must not be empty: leave it out to use %s", defaultOAuthClient)
	}
	return nil
}

// openShift is a client of OpenShift's API.
type openShift struct {
	rest.Interface
	server *connection
}

func newOpenShift(server *connection) (*openShift, error) {
	scheme := runtime.NewScheme()
	for _, install := range []func(*runtime.Scheme) error{oauthv1.Install, userv1.Install, corev1.AddToScheme} {
		utilruntime.Must(install(scheme)) // they don't contradict one another
	}
	metav1.AddToGroupVersion(scheme, metav1.Unversioned)
	config := rest.CopyConfig(server.config)
	config.APIPath, config.GroupVersion = "/apis", &oauthv1.GroupVersion
	config.NegotiatedSerializer = serializer.NewCodecFactory(scheme).WithoutConversion()
	client, err := rest.RESTClientFor(config)
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", server.source, err)
	}
	return &openShift{client, server}, nil
}

const (
	oauthAPI = "/apis/oauth.openshift.io/v1/"
	userAPI  = "/apis/user.openshift.io/v1/"
)

// create makes a token and returns it. It is not stored anywhere: its object is named after a hash of it.
func (o *openShift) create(ctx context.Context, want *opaqueToken, life time.Duration) (string, error) {
	uid, err := o.uid(ctx, want.user)
	if err != nil {
		return "", err
	}
	client, err := o.client(ctx, want.client)
	if err != nil {
		return "", err
	}
	token := oauth.NewToken()
	name, _ := oauth.ObjectName(token)
	object := &oauthv1.OAuthAccessToken{
		ObjectMeta:  metav1.ObjectMeta{Name: name},
		ClientName:  want.client,
		ExpiresIn:   int64(life / time.Second),
		Scopes:      want.scopes,
		RedirectURI: redirectURI,
		UserName:    want.user,
		UserUID:     uid,
	}
	if life == 0 {
		object.ExpiresIn = int64(defaultOpaqueLife / time.Second)
		if age := client.AccessTokenMaxAgeSeconds; age != nil {
			object.ExpiresIn = int64(*age)
		}
	}
	if idle := client.AccessTokenInactivityTimeoutSeconds; idle != nil {
		object.InactivityTimeoutSeconds = *idle
	}
	err = o.Post().AbsPath(oauthAPI, "oauthaccesstokens").Body(object).Do(ctx).Error()
	return token, o.explain(ctx, err)
}

// uid is what the token has to say of its user, lest it be good for a later one of that name.
func (o *openShift) uid(ctx context.Context, name string) (string, error) {
	if name == oauth.KubeAdmin {
		secret := &corev1.Secret{}
		err := o.Get().AbsPath("/api/v1/namespaces/kube-system/secrets/kubeadmin").Do(ctx).Into(secret)
		if apierrors.IsNotFound(err) {
			return "", errors.New(`there is no kube:admin: it needs a secret "kubeadmin" in the namespace kube-system, made within an hour of that, with a bcrypt hash under the key "kubeadmin"`)
		}
		return oauth.KubeAdminUID(secret), o.explain(ctx, err)
	}
	user := &userv1.User{}
	err := o.Get().AbsPath(userAPI, "users", name).Do(ctx).Into(user)
	switch {
	case isNotServed(err):
		return "", fmt.Errorf("the server %s has no users and no opaque tokens: start it with --openshift-api", o.server.config.Host)
	case apierrors.IsNotFound(err):
		return "", fmt.Errorf("there is no user %q: create an object of kind User (user.openshift.io/v1) with that name first, as docs/openshift.md shows", name)
	}
	return string(user.UID), o.explain(ctx, err)
}

// isNotServed tells a path that isn't there from an object that isn't.
func isNotServed(err error) bool {
	var status apierrors.APIStatus
	return apierrors.IsNotFound(err) && errors.As(err, &status) && (status.Status().Details == nil || status.Status().Details.Name == "")
}

// client returns a client, which it makes if it is the default one.
func (o *openShift) client(ctx context.Context, name string) (*oauthv1.OAuthClient, error) {
	client := &oauthv1.OAuthClient{}
	if strings.HasPrefix(name, "system:serviceaccount:") {
		return client, nil // whether there is such an account the server says
	}
	err := o.Get().AbsPath(oauthAPI, "oauthclients", name).Do(ctx).Into(client)
	if !apierrors.IsNotFound(err) {
		return client, o.explain(ctx, err)
	}
	if name != defaultOAuthClient {
		return nil, fmt.Errorf("there is no OAuthClient %q: create it first, or leave out --client to use %s", name, defaultOAuthClient)
	}
	client = &oauthv1.OAuthClient{
		ObjectMeta:   metav1.ObjectMeta{Name: name},
		GrantMethod:  oauthv1.GrantHandlerAuto,
		RedirectURIs: []string{redirectURI},
	}
	err = o.Post().AbsPath(oauthAPI, "oauthclients").Body(client).Do(ctx).Error()
	if apierrors.IsAlreadyExists(err) { // somebody was quicker
		err = o.Get().AbsPath(oauthAPI, "oauthclients", name).Do(ctx).Into(client)
	}
	return client, o.explain(ctx, err)
}

// explain says what to do about what the server answered, if that is an error.
func (o *openShift) explain(ctx context.Context, err error) error {
	if err == nil {
		return nil
	}
	return o.server.explain(ctx, err)
}
