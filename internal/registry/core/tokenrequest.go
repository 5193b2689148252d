package core

import (
	"context"
	"fmt"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// TokenRequests serves serviceaccounts/token, the creation of tokens.
type TokenRequests struct {
	registry.Unstored
	issuer *tokenrequest.Issuer
}

var _ interface {
	rest.NamedCreater
	rest.GroupVersionKindProvider
	rest.SubresourceObjectMetaPreserver
} = (*TokenRequests)(nil)

// NewTokenRequests returns the storage of serviceaccounts/token.
func NewTokenRequests(issuer *tokenrequest.Issuer) *TokenRequests {
	return &TokenRequests{registry.Unstored{Empty: &authenticationv1.TokenRequest{}, Namespaced: true}, issuer}
}

// GroupVersionKind is the kind of the body, which is of another group than the URL.
func (*TokenRequests) GroupVersionKind(schema.GroupVersion) schema.GroupVersionKind {
	return authenticationv1.SchemeGroupVersion.WithKind("TokenRequest")
}

// PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate keeps the uid of the body: it is a precondition.
func (*TokenRequests) PreserveRequestObjectMetaSystemFieldsOnSubresourceCreate() bool { return true }

// Create issues a token.
func (t *TokenRequests) Create(ctx context.Context, name string, obj runtime.Object, validate rest.ValidateObjectFunc, _ *metav1.CreateOptions) (runtime.Object, error) {
	request, ok := obj.(*authenticationv1.TokenRequest)
	if !ok {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("not a TokenRequest: %T", obj))
	}
	err := t.issuer.Issue(ctx, genericapirequest.NamespaceValue(ctx), name, request,
		func(ctx context.Context, request *authenticationv1.TokenRequest) error {
			if validate == nil {
				return nil
			}
			return validate(ctx, request.DeepCopy())
		})
	if err != nil {
		return nil, err
	}
	// A request isn't stored, so no manager owns its fields.
	request.ManagedFields = nil
	return request, nil
}
