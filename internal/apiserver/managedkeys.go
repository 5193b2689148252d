package apiserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/runtime"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/shell"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/view"
)

// signingBound is how old the view of the keys may be for one of them to sign, where --max-staleness sets no bound: a key
// that was given up long ago must not sign.
const signingBound = 30 * time.Second

// managedKeys are signing keys whose objects and private halves are in the store. It is the store of the source.
type managedKeys struct {
	*signingkey.Managed
	view  *view.View[*mintmarkv1alpha1.SigningKey]
	store view.Store
	// current has the views proved. It is bound when there are views, before the first request.
	current *view.Set
	bound   time.Duration
	tokens  Tokens
	dir     *datadir.Dir
	// former is the key that an older version kept in the data directory; nil if there is none.
	former crypto.Signer
}

// newManagedKeys returns the keys of the store. former is the key that an older version kept in the data directory.
func newManagedKeys(cfg Config, g *ground, former crypto.Signer) *managedKeys {
	m := &managedKeys{store: g.store.client, bound: cfg.MaxStaleness, tokens: cfg.Tokens, dir: g.dir, former: former}
	if m.bound == 0 {
		m.bound = signingBound
	}
	m.view = newKeyView()
	m.Managed = signingkey.NewManaged(signingkey.ManagedConfig{Store: m, Secrets: g.secrets, Lead: cfg.Tokens.SigningKeyLead, Now: cfg.now()})
	m.view.OnChange(func(key view.Key, obj runtime.Object) {
		stored, _ := obj.(*mintmarkv1alpha1.SigningKey)
		m.Set(key.Name, stored)
	})
	return m
}

// newKeyView returns the view of the objects of the signing keys.
func newKeyView() *view.View[*mintmarkv1alpha1.SigningKey] {
	return view.New(mintmarkv1alpha1.Resource("signingkeys"), true, func(obj runtime.Object) *mintmarkv1alpha1.SigningKey {
		return obj.(*mintmarkv1alpha1.SigningKey).DeepCopy()
	})
}

// List reads all objects.
func (m *managedKeys) List(ctx context.Context) ([]*mintmarkv1alpha1.SigningKey, error) {
	objects, err := m.view.List(ctx, m.store)
	if err != nil {
		return nil, err
	}
	keys := make([]*mintmarkv1alpha1.SigningKey, len(objects))
	for i, obj := range objects {
		keys[i] = obj.(*mintmarkv1alpha1.SigningKey)
	}
	return keys, nil
}

// Create stores an object.
func (m *managedKeys) Create(ctx context.Context, key *mintmarkv1alpha1.SigningKey) error {
	return m.view.Create(ctx, "", key.Name, key)
}

// Update changes an object.
func (m *managedKeys) Update(ctx context.Context, name string, change func(*mintmarkv1alpha1.SigningKey) error) error {
	return m.view.Update(ctx, "", name, func(obj runtime.Object) error { return change(obj.(*mintmarkv1alpha1.SigningKey)) })
}

// Ensure returns nil if the view of the keys is within the bound, and whole.
func (m *managedKeys) Ensure(ctx context.Context) error {
	if err := m.current.EnsureWithin(ctx, m.bound); err != nil {
		return err
	}
	if bad := m.view.Unreadable(); len(bad) > 0 {
		return fmt.Errorf("%d stored signing keys can't be read", len(bad))
	}
	return nil
}

// Known reports whether the objects have been read.
func (m *managedKeys) Known() bool {
	select {
	case <-m.view.Synced():
		return true
	default:
		return false
	}
}

// prepare stores the keys that must be there, and has the data directory rid of its own when the store has it. namespaces
// tell whether the store has been used.
func (m *managedKeys) prepare(ctx context.Context, index *boundobject.Index) error {
	used, err := index.Namespaces.List(ctx, m.store)
	if err != nil {
		return err
	}
	want := signingkey.Preparation{
		Old: m.former, LongestToken: tokenLife(m.tokens),
		Algorithms: slices.Sorted(maps.Values(m.tokens.AudienceAlgorithms)),
	}
	file := m.dir.Path(datadir.SigningKey)
	if len(used) > 0 {
		want.NoneIsWrong = fmt.Errorf("the store has been used, but has no signing key, and %s is missing. With a new key all tokens that are out would be refused, "+
			"so none is made: put the private key that signed them there as PEM, or start the server first that has it in its data directory. "+
			"To give up all tokens, make a new key: (umask 077; openssl ecparam -name prime256v1 -genkey -noout -out %s)", file, shell.Quote(file))
	}
	if err := m.Prepare(ctx, want); err != nil {
		return err
	}
	if m.former != nil {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("the signing key is in the store now, and must be nowhere else: %w", err)
		}
	}
	return m.Refresh(ctx)
}

// tokenLife returns the longest life of a token.
func tokenLife(tokens Tokens) time.Duration {
	switch {
	case tokens.MaxExpiration == 0:
		return longestLife
	case tokens.ExtendExpiration:
		return max(tokens.MaxExpiration, extendedLife)
	}
	return tokens.MaxExpiration
}
