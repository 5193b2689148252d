package apiserver

import (
	"context"
	"crypto"
	"errors"
	"io/fs"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/externalsigner"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/view"
)

// keys holds the issuers, the API audiences, and the keys that sign, verify and are published.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	ring      *signingkey.Ring
	// maxExpiration is the longest life of a token; 0 means no limit.
	maxExpiration time.Duration
	// managed are the keys if they are in the store; external is the external signer, if the keys are its; files are the key
	// files of the operator. One of them is not nil.
	managed  *managedKeys
	external *externalsigner.Signer
	files    *signingkey.Files
}

// view returns the view of the stored keys, which are there whoever signs.
func (k *keys) view() *view.View[*mintmarkv1alpha1.SigningKey] {
	if k.managed != nil {
		return k.managed.view
	}
	return newKeyView()
}

// newKeys returns the issuers and audiences, without keys. issuer is the pinned one.
func newKeys(tokens Tokens, issuer string) *keys {
	k := &keys{issuers: tokens.Issuers, audiences: tokens.APIAudiences, maxExpiration: tokens.MaxExpiration}
	if len(k.issuers) == 0 {
		k.issuers = []string{issuer}
	}
	if len(k.audiences) == 0 {
		k.audiences = slices.Clone(k.issuers)
	}
	return k
}

// loadKeys returns the keys of the store, or those of the files if there are any.
func (g *ground) loadKeys(cfg Config, signing signingKey) *keys {
	k := newKeys(cfg.Tokens, g.identity.Issuer())
	if k.files = signing.files; k.files != nil {
		k.ring = signingkey.NewRing(k.files, cfg.now())
		return k
	}
	k.managed = newManagedKeys(cfg, g, signing.former)
	k.ring = signingkey.NewRing(k.managed, cfg.now())
	return k
}

// signingKey is what the start finds outside of the store.
type signingKey struct {
	// files have the keys if the operator names files; otherwise keys are in the store.
	files *signingkey.Files
	// former is the key that an older version kept in the data directory; nil if there is none.
	former crypto.Signer
}

// openSigningKey reads the files of the operator. If none are named, keys are in the store, and the data directory may have
// one that an older version has made.
func openSigningKey(tokens Tokens, dir *datadir.Dir) (signingKey, error) {
	if tokens.SigningKeyFile != "" {
		files, err := signingkey.NewFiles(tokens.SigningKeyFile, tokens.KeyFiles)
		return signingKey{files: files}, err
	}
	former, err := signingkey.LoadPrivateKey(dir.Path(datadir.SigningKey))
	if errors.Is(err, fs.ErrNotExist) {
		return signingKey{}, nil
	}
	return signingKey{former: former}, err
}

// newIssuer returns what issues the tokens.
func newIssuer(cfg Config, keys *keys, index *boundobject.Index) *tokenrequest.Issuer {
	tokens := cfg.Tokens
	issuing := tokenrequest.Config{
		Issuer:        keys.issuers[0],
		APIAudiences:  keys.audiences,
		MaxExpiration: keys.maxExpiration,
		MinExpiration: tokens.MinExpiration,
		Extend:        tokens.ExtendExpiration,
		Index:         index,
		Algorithms:    tokens.AudienceAlgorithms,
		Signer:        keys.ring,
		Now:           cfg.now(),
	}
	if keys.external != nil {
		issuing.ExtendedLimit = keys.external.LongestLife()
	}
	return tokenrequest.New(issuing)
}

// legacySigner signs the tokens that live in secrets, which have no end.
type legacySigner struct{ ring *signingkey.Ring }

// Sign returns the token that carries the claims.
func (s legacySigner) Sign(ctx context.Context, claims []byte) (string, error) {
	return s.ring.Sign(ctx, "", claims, time.Time{})
}
