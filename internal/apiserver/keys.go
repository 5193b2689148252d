package apiserver

import (
	"context"
	"crypto"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/externalsigner"
	"github.com/mintmark/mintmark/internal/shell"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// keys holds the issuers, the API audiences, and the keys that sign, verify and are published.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	ring      *signingkey.Ring
	// maxExpiration is the longest life of a token; 0 means no limit.
	maxExpiration time.Duration
	// external is the external signer, if the keys are its.
	external *externalsigner.Signer
	// files are the key files of the operator; nil if there are none.
	files *signingkey.Files
	// made names the file of the signing key, if this start has made it.
	made []string
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

// loadKeys puts the keys behind signing, checking and documents.
func loadKeys(tokens Tokens, issuer string, signing signingKey) (*keys, error) {
	k := newKeys(tokens, issuer)
	k.files, k.made = signing.files, signing.made
	if k.files != nil {
		k.ring = signingkey.NewRing(k.files, nil)
		return k, nil
	}
	signer, err := signingkey.NewSigner(signing.key)
	if err != nil {
		return nil, fmt.Errorf("failed to build token generator: %w", err)
	}
	source, err := signingkey.NewStatic(signer, []crypto.PublicKey{signer.Public()})
	if err != nil {
		return nil, err
	}
	k.ring = signingkey.NewRing(source, nil)
	return k, nil
}

// signingKey is the key that signs.
type signingKey struct {
	key crypto.Signer
	// files have the keys if the operator names files.
	files *signingkey.Files
	// made names the file of the key, if this start has made it.
	made []string
}

// openSigningKey reads the key that signs, from the files of the operator. If none are named, the key is in the data directory, and is made at the
// first start with it. Later a missing key is an error: with another one, every token that is out would be refused.
func openSigningKey(tokens Tokens, dir *datadir.Dir) (signingKey, error) {
	if tokens.SigningKeyFile != "" {
		files, err := signingkey.NewFiles(tokens.SigningKeyFile, tokens.KeyFiles)
		return signingKey{files: files}, err
	}
	file := dir.Path(datadir.SigningKey)
	if _, err := os.Lstat(file); errors.Is(err, fs.ErrNotExist) && dir.Used() {
		return signingKey{}, fmt.Errorf("%s, which signs the tokens, is missing, although a server has run with this data directory. With a new key all tokens that are out would be refused, "+
			"so none is made: put the file back from a backup, or name the key with --service-account-signing-key-file. "+
			"To give up all tokens, make a new key: (umask 077; openssl ecparam -name prime256v1 -genkey -noout -out %s)", file, shell.Quote(file))
	}
	key, made, err := signingkey.LoadOrCreate(file)
	if made {
		return signingKey{key: key, made: []string{file}}, err
	}
	return signingKey{key: key}, err
}

// newIssuer returns what issues the tokens.
func newIssuer(tokens Tokens, keys *keys, index *boundobject.Index) *tokenrequest.Issuer {
	cfg := tokenrequest.Config{
		Issuer:        keys.issuers[0],
		APIAudiences:  keys.audiences,
		MaxExpiration: keys.maxExpiration,
		Extend:        tokens.ExtendExpiration,
		Index:         index,
		Signer:        keys.ring,
	}
	if keys.external != nil {
		cfg.ExtendedLimit = keys.external.LongestLife()
	}
	return tokenrequest.New(cfg)
}

// legacySigner signs the tokens that live in secrets, which have no end.
type legacySigner struct{ ring *signingkey.Ring }

// Sign returns the token that carries the claims.
func (s legacySigner) Sign(ctx context.Context, claims []byte) (string, error) {
	return s.ring.Sign(ctx, "", claims, time.Time{})
}
