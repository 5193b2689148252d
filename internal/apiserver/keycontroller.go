package apiserver

import (
	"context"
	"errors"
	"net/http"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// keyStore is the signing keys as the signingkey-controller works on them: it makes and removes keys through the API, whose
// checks count for it too, and writes their status past it.
type keyStore struct {
	signingkey.Store
	client rest.Interface
}

// newKeyController returns what the signingkey-controller works on; nil if the keys are not in the store.
func newKeyController(g *ground, tokens Tokens, handler http.Handler) (*controller.SigningKeys, error) {
	managed := g.keys.managed
	if managed == nil {
		return nil, nil
	}
	client, err := newOwnGroupClient(handler)
	if err != nil {
		return nil, err
	}
	return &controller.SigningKeys{
		Store: keyStore{managed, client}, Private: g.secrets, OnChange: managed.view.OnChange,
		Lead: tokens.SigningKeyLead, RotationPeriod: tokens.SigningKeyRotation,
	}, nil
}

// Stored returns all keys as they are in the store.
func (s keyStore) Stored(ctx context.Context) ([]*mintmarkv1alpha1.SigningKey, error) {
	return s.List(ctx)
}

// errUnchanged says that there is nothing to write.
var errUnchanged = errors.New("unchanged")

// Note writes the status of a key if change has changed it.
func (s keyStore) Note(ctx context.Context, name string, change func(*mintmarkv1alpha1.SigningKey) bool) error {
	err := s.Update(ctx, name, func(key *mintmarkv1alpha1.SigningKey) error {
		if !change(key) {
			return errUnchanged
		}
		return nil
	})
	if errors.Is(err, errUnchanged) {
		return nil
	}
	return err
}

// Make makes a key.
func (s keyStore) Make(ctx context.Context, key *mintmarkv1alpha1.SigningKey) error {
	return s.client.Post().Resource("signingkeys").Body(key).Do(ctx).Error()
}

// Remove removes a version of a key.
func (s keyStore) Remove(ctx context.Context, key *mintmarkv1alpha1.SigningKey) error {
	return s.client.Delete().Resource("signingkeys").Name(key.Name).Body(&metav1.DeleteOptions{
		Preconditions: &metav1.Preconditions{UID: &key.UID, ResourceVersion: &key.ResourceVersion},
	}).Do(ctx).Error()
}
