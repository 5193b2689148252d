package openshift

import (
	"context"
	"fmt"
	"strings"

	oauthv1 "github.com/openshift/api/oauth/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metainternalversion "k8s.io/apimachinery/pkg/apis/meta/internalversion"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/oauth"
	"github.com/mintmark/mintmark/internal/registry"
)

// userAccessTokens serves useroauthaccesstokens: the caller's own access tokens, to be seen and revoked. Nothing is stored
// under that name; others' tokens are as if they weren't there.
type userAccessTokens struct{ tokens *genericregistry.Store }

var _ interface {
	rest.Storage
	rest.Getter
	rest.Lister
	rest.Watcher
	rest.GracefulDeleter
	rest.MayReturnFullObjectDeleter
	rest.Scoper
	rest.SingularNameProvider
	rest.StorageWithReadiness
} = (*userAccessTokens)(nil)

// New returns an empty object, for the documentation.
func (*userAccessTokens) New() runtime.Object { return &oauthv1.UserOAuthAccessToken{} }

// NewList returns an empty list.
func (*userAccessTokens) NewList() runtime.Object { return &oauthv1.UserOAuthAccessTokenList{} }

// Destroy does nothing: the storage is closed by oauthaccesstokens.
func (*userAccessTokens) Destroy() {}

// NamespaceScoped is false.
func (*userAccessTokens) NamespaceScoped() bool { return false }

// GetSingularName is the name of one object.
func (*userAccessTokens) GetSingularName() string { return "useroauthaccesstoken" }

// DeleteReturnsDeletedObject says that the answer to a DELETE is what was deleted.
func (*userAccessTokens) DeleteReturnsDeletedObject() bool { return true }

// ReadinessCheck says whether tokens can be listed.
func (s *userAccessTokens) ReadinessCheck() error { return s.tokens.ReadinessCheck() }

// owner is the user whose tokens a request is about, empty if the request has none.
func owner(ctx context.Context) string {
	if caller, ok := genericapirequest.UserFrom(ctx); ok {
		return caller.GetName()
	}
	return ""
}

// owns reports whether a token belongs to a user. A token whose name is not a hash belongs to no user: the name could be the
// token.
func owns(user string, token *oauthv1.OAuthAccessToken) bool {
	return user != "" && token.UserName == user && strings.HasPrefix(token.Name, oauth.Prefix)
}

// Get returns one of the caller's tokens.
func (s *userAccessTokens) Get(ctx context.Context, name string, options *metav1.GetOptions) (runtime.Object, error) {
	token, err := s.get(ctx, name, options)
	if err != nil {
		return nil, err
	}
	return (*oauthv1.UserOAuthAccessToken)(token), nil
}

func (s *userAccessTokens) get(ctx context.Context, name string, options *metav1.GetOptions) (*oauthv1.OAuthAccessToken, error) {
	obj, err := s.tokens.Get(ctx, name, options)
	if err != nil {
		return nil, asOwn(err, name)
	}
	token, ok := obj.(*oauthv1.OAuthAccessToken)
	if !ok || !owns(owner(ctx), token) {
		return nil, notFound(name)
	}
	return token, nil
}

func notFound(name string) error {
	return apierrors.NewNotFound(oauthv1.Resource("useroauthaccesstokens"), name)
}

// asOwn has what isn't there be no token of the caller.
func asOwn(err error, name string) error {
	if apierrors.IsNotFound(err) {
		return notFound(name)
	}
	return err
}

// List returns the caller's tokens.
func (s *userAccessTokens) List(ctx context.Context, options *metainternalversion.ListOptions) (runtime.Object, error) {
	user := owner(ctx)
	obj, err := s.tokens.List(ctx, ofUser(user, options))
	if err != nil {
		return nil, err
	}
	tokens, ok := obj.(*oauthv1.OAuthAccessTokenList)
	if !ok {
		return nil, fmt.Errorf("a %T is no list of tokens", obj)
	}
	own := &oauthv1.UserOAuthAccessTokenList{ListMeta: tokens.ListMeta, Items: make([]oauthv1.UserOAuthAccessToken, 0, len(tokens.Items))}
	for i := range tokens.Items {
		if owns(user, &tokens.Items[i]) {
			own.Items = append(own.Items, oauthv1.UserOAuthAccessToken(tokens.Items[i]))
		}
	}
	return own, nil
}

// ofUser narrows a list or a watch to a user's tokens. The storage does that, so pages are full.
func ofUser(user string, options *metainternalversion.ListOptions) *metainternalversion.ListOptions {
	own := &metainternalversion.ListOptions{}
	if options != nil {
		own = options.DeepCopy()
	}
	selector := fields.OneTermEqualSelector("userName", user)
	if own.FieldSelector != nil {
		selector = fields.AndSelectors(selector, own.FieldSelector)
	}
	own.FieldSelector = selector
	return own
}

// Watch tells of changes to the caller's tokens.
func (s *userAccessTokens) Watch(ctx context.Context, options *metainternalversion.ListOptions) (watch.Interface, error) {
	user := owner(ctx)
	events, err := s.tokens.Watch(ctx, ofUser(user, options))
	if err != nil {
		return nil, err
	}
	return watchOwn(events, user), nil
}

// Delete revokes one of the caller's tokens. The UID makes sure that it is the token that was checked. The answer is the
// stored object, as it is for an administrator.
func (s *userAccessTokens) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	token, err := s.get(ctx, name, &metav1.GetOptions{})
	if err != nil {
		return nil, false, err
	}
	own := &metav1.DeleteOptions{}
	if options != nil {
		own = options.DeepCopy()
	}
	if own.Preconditions == nil {
		own.Preconditions = &metav1.Preconditions{}
	}
	if own.Preconditions.UID == nil {
		own.Preconditions.UID = &token.UID
	}
	deleted, immediately, err := s.tokens.Delete(ctx, name, func(ctx context.Context, obj runtime.Object) error {
		token, ok := obj.(*oauthv1.OAuthAccessToken)
		if !ok || validate == nil {
			return nil
		}
		return validate(ctx, (*oauthv1.UserOAuthAccessToken)(token))
	}, own)
	return deleted, immediately, asOwn(err, name)
}

// ConvertToTable makes a table of an object or a list. A deleted token is of the stored kind.
func (*userAccessTokens) ConvertToTable(ctx context.Context, obj, options runtime.Object) (*metav1.Table, error) {
	if token, ok := obj.(*oauthv1.OAuthAccessToken); ok {
		obj = (*oauthv1.UserOAuthAccessToken)(token)
	}
	return userAccessTokenTable.ConvertToTable(ctx, obj, options)
}

var userAccessTokenTable = &registry.Table[*oauthv1.UserOAuthAccessToken]{
	Columns: append([]metav1.TableColumnDefinition{registry.NameColumn}, tokenColumns(accessTokenDocs)...),
	Cells: func(token *oauthv1.UserOAuthAccessToken) []any {
		return append([]any{token.Name},
			tokenCells(accessGrant((*oauthv1.OAuthAccessToken)(token)))...)
	},
}
