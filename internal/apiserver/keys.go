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
	"github.com/mintmark/mintmark/internal/shell"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// keys holds the issuers, the API audiences, and the keys that sign, verify and are published.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	ring      *signingkey.Ring
	// made names the file of the signing key, if this start has made it.
	made []string
}

// loadKeys reads the keys besides the one that signs. issuer is the pinned one.
func loadKeys(tokens Tokens, issuer string, signing signingKey) (*keys, error) {
	k := &keys{issuers: tokens.Issuers, audiences: tokens.APIAudiences, made: signing.made}
	if len(k.issuers) == 0 {
		k.issuers = []string{issuer}
	}
	if len(k.audiences) == 0 {
		k.audiences = slices.Clone(k.issuers)
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

// signingKey is the key that signs.
type signingKey struct {
	key crypto.Signer
	// made names the file of the key, if this start has made it.
	made []string
}

// openSigningKey reads the key that signs from a file. If none is named, the key is in the data directory, and is made at the
// first start with it. Later a missing key is an error: with another one, every token that is out would be refused.
func openSigningKey(file string, dir *datadir.Dir) (signingKey, error) {
	if file != "" {
		key, err := signingkey.LoadPrivateKey(file)
		if err != nil {
			return signingKey{}, fmt.Errorf("--service-account-signing-key-file: %w", err)
		}
		return signingKey{key: key}, nil
	}
	file = dir.Path(datadir.SigningKey)
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
	return tokenrequest.New(tokenrequest.Config{
		Issuer:        keys.issuers[0],
		APIAudiences:  keys.audiences,
		MaxExpiration: tokens.MaxExpiration,
		Extend:        tokens.ExtendExpiration,
		Index:         index,
		Signer:        keys.ring,
	})
}

// legacySigner signs the tokens that live in secrets, which have no end.
type legacySigner struct{ ring *signingkey.Ring }

// Sign returns the token that carries the claims.
func (s legacySigner) Sign(ctx context.Context, claims []byte) (string, error) {
	return s.ring.Sign(ctx, "", claims, time.Time{})
}
