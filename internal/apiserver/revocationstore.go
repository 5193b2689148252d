package apiserver

import (
	"context"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/scheme"
)

// revocationStore reads and removes revocations as any client does.
type revocationStore struct{ client rest.Interface }

var _ controller.RevocationStore = revocationStore{}

func newRevocationStore(handler http.Handler) (revocationStore, error) {
	client, err := newOwnGroupClient(handler)
	return revocationStore{client}, err
}

// List returns a page of revocations.
func (s revocationStore) List(ctx context.Context, options metav1.ListOptions) (*mintmarkv1alpha1.TokenRevocationList, error) {
	list := &mintmarkv1alpha1.TokenRevocationList{}
	err := s.client.Get().Resource("tokenrevocations").VersionedParams(&options, scheme.ParameterCodec).Do(controller.WithoutBodies(ctx)).Into(list)
	return list, err
}

// Delete removes a revocation.
func (s revocationStore) Delete(ctx context.Context, name string, options metav1.DeleteOptions) error {
	return s.client.Delete().Resource("tokenrevocations").Name(name).Body(&options).Do(controller.WithoutBodies(ctx)).Error()
}
