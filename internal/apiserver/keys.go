package apiserver

import (
	"crypto"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/tokenrequest"
)

// keys holds the issuers, API audiences, signer and verification key set.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	signer    *signingkey.Signer
	accepted  *signingkey.KeySet
	// made names the file of the signing key, if this start has made it.
	made []string
}

// loadKeys reads the keys, or makes one. address is the host and port under which others reach the server.
func loadKeys(tokens Tokens, address string, dir *datadir.Dir) (*keys, error) {
	k := &keys{issuers: tokens.Issuers, audiences: tokens.APIAudiences}
	if len(k.issuers) == 0 {
		k.issuers = []string{"https://" + address}
	}
	if len(k.audiences) == 0 {
		k.audiences = slices.Clone(k.issuers)
	}
	key, err := k.signingKey(tokens.SigningKeyFile, dir)
	if err != nil {
		return nil, err
	}
	if k.signer, err = signingkey.NewSigner(key); err != nil {
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
		public = []crypto.PublicKey{k.signer.Public()}
	}
	if k.accepted, err = signingkey.NewKeySet(public); err != nil {
		return nil, err
	}
	if !k.accepted.Holds(k.signer.KeyID()) {
		return nil, fmt.Errorf("the signing key in %s is not among the keys in the files of --service-account-key-file: neither this server nor anybody else would accept what it signs; add it with --service-account-key-file=%s",
			tokens.SigningKeyFile, tokens.SigningKeyFile)
	}
	return k, nil
}

// signingKey reads the key that signs from a file, or if none is named from the data directory, where it is made if it is
// missing.
func (k *keys) signingKey(file string, dir *datadir.Dir) (crypto.Signer, error) {
	if file != "" {
		key, err := signingkey.LoadPrivateKey(file)
		if err != nil {
			return nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
		}
		return key, nil
	}
	file = dir.Path(datadir.SigningKey)
	key, made, err := signingkey.LoadOrCreate(file)
	if made {
		k.made = []string{file}
	}
	return key, err
}

// newIssuer returns what issues the tokens.
func newIssuer(tokens Tokens, keys *keys, index *boundobject.Index) *tokenrequest.Issuer {
	return tokenrequest.New(tokenrequest.Config{
		Issuer:        keys.issuers[0],
		APIAudiences:  keys.audiences,
		MaxExpiration: tokens.MaxExpiration,
		Extend:        tokens.ExtendExpiration,
		Index:         index,
		Signer:        keys.signer,
	})
}
