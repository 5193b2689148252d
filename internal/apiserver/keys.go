package apiserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// keys holds the issuers, the API audiences, and the keys that sign, verify and are published.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	ring      *signingkey.Ring
	// managed are the keys if they are in the store; nil if they come from files.
	managed *managedKeys
}

// view returns the view of the stored keys, which are there whoever signs.
func (k *keys) view() storedView {
	if k.managed != nil {
		return k.managed.view
	}
	return newKeyView()
}

// loadKeys returns the keys of the store, or those of the files if there are any.
func (g *ground) loadKeys(tokens Tokens, maxStaleness time.Duration, signing signingKey) (*keys, error) {
	k := &keys{issuers: tokens.Issuers, audiences: tokens.APIAudiences}
	if len(k.issuers) == 0 {
		k.issuers = []string{g.identity.Issuer()}
	}
	if len(k.audiences) == 0 {
		k.audiences = slices.Clone(k.issuers)
	}
	if signing.key == nil {
		k.managed = newManagedKeys(tokens, maxStaleness, g, signing.former)
		k.ring = signingkey.NewRing(k.managed, nil)
		return k, nil
	}
	signer, err := signingkey.NewSigner(signing.key)
	if err != nil {
		return nil, fmt.Errorf("failed to build token generator: %w", err)
	}
	var public []crypto.PublicKey
	for _, file := range tokens.KeyFiles {
		found, err := signingkey.LoadPublicKeys(file)
		if err != nil {
			return nil, fmt.Errorf("--service-account-key-file: %w", err)
		}
		public = append(public, found...)
	}
	if len(tokens.KeyFiles) == 0 {
		public = []crypto.PublicKey{signer.Public()}
	}
	source, err := signingkey.NewStatic(signer, public)
	if err != nil {
		return nil, err
	}
	k.ring = signingkey.NewRing(source, nil)
	if !k.ring.Holds(signer.KeyID()) {
		return nil, fmt.Errorf("the signing key in %s is not among the keys in the files of --service-account-key-file: neither this server nor anybody else would accept what it signs; add it with --service-account-key-file=%s",
			tokens.SigningKeyFile, tokens.SigningKeyFile)
	}
	return k, nil
}

// signingKey is the key that signs, or did.
type signingKey struct {
	// key is that of a file; nil if keys are in the store.
	key crypto.Signer
	// former is the key that an older version kept in the data directory; nil if there is none.
	former crypto.Signer
}

// openSigningKey reads the key that signs from a file. If none is named, keys are in the store, and the data directory may
// have one that an older version has made.
func openSigningKey(tokens Tokens, dir *datadir.Dir) (signingKey, error) {
	if tokens.SigningKeyFile != "" {
		key, err := signingkey.LoadPrivateKey(tokens.SigningKeyFile)
		if err != nil {
			return signingKey{}, fmt.Errorf("--service-account-signing-key-file: %w", err)
		}
		return signingKey{key: key}, nil
	}
	former, err := signingkey.LoadPrivateKey(dir.Path(datadir.SigningKey))
	if errors.Is(err, fs.ErrNotExist) {
		return signingKey{}, nil
	}
	return signingKey{former: former}, err
}

// newIssuer returns what issues the tokens.
func newIssuer(tokens Tokens, keys *keys, index *boundobject.Index) *tokenrequest.Issuer {
	return tokenrequest.New(tokenrequest.Config{
		Issuer:        keys.issuers[0],
		APIAudiences:  keys.audiences,
		MaxExpiration: tokens.MaxExpiration,
		Extend:        tokens.ExtendExpiration,
		Index:         index,
		Algorithms:    tokens.AudienceAlgorithms,
		Signer:        keys.ring,
	})
}

// legacySigner signs the tokens that live in secrets, which have no end.
type legacySigner struct{ ring *signingkey.Ring }

// Sign returns the token that carries the claims.
func (s legacySigner) Sign(ctx context.Context, claims []byte) (string, error) {
	return s.ring.Sign(ctx, "", claims, time.Time{})
}
