package apiserver

import (
	"crypto"
	"fmt"
	"slices"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// keys is who issues, who is believed, and by which keys.
type keys struct {
	issuers   []string
	audiences authenticator.Audiences
	signer    *signingkey.Signer
	accepted  *signingkey.KeySet
	// made is the file of a signing key that this start has made.
	made string
}

func (s *Server) loadKeys() (*keys, error) {
	tokens := s.cfg.Tokens
	k := &keys{issuers: tokens.Issuers, audiences: tokens.APIAudiences}
	if len(k.issuers) == 0 {
		k.issuers = []string{"https://" + s.address}
	}
	if len(k.audiences) == 0 {
		k.audiences = slices.Clone(k.issuers)
	}
	key, err := s.signingKey(k)
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

func (s *Server) signingKey(k *keys) (crypto.Signer, error) {
	if file := s.cfg.Tokens.SigningKeyFile; file != "" {
		key, err := signingkey.LoadPrivateKey(file)
		if err != nil {
			return nil, fmt.Errorf("--service-account-signing-key-file: %w", err)
		}
		return key, nil
	}
	file := s.dir.Path(datadir.SigningKey)
	key, made, err := signingkey.LoadOrCreate(file)
	if made {
		k.made = file
	}
	return key, err
}
