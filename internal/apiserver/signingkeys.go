package apiserver

import (
	"maps"
	"slices"
	"time"

	"github.com/mintmark/mintmark/internal/registry/mintmark"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// keysInFiles is the answer to a request for a key where the keys are those in files.
const keysInFiles = "this server signs with the key in the file of --service-account-signing-key-file, and makes none: put the new key into the files, " +
	"first among those of --service-account-key-file on every replica, and later in place of the one that signs. The server reads them when they change"

// keysOfSigner is the same answer where the keys are those of an external signer.
const keysOfSigner = "the keys of this server are those of the external signer on the socket of --service-account-signing-endpoint, and it makes none: make the key there. " +
	"The server reads the signer's keys when the signer says that they may have changed"

// signingKeys is how the API makes signing keys.
func signingKeys(g *ground, tokens Tokens, now func() time.Time) mintmark.SigningKeys {
	cfg := mintmark.SigningKeys{
		PrivateKeys: g.secrets, Now: now, Lead: tokens.SigningKeyLead, Cached: min(tokens.SigningKeyLead, time.Hour), LongestLife: tokenLife(tokens),
		Algorithms: append(slices.Sorted(maps.Values(tokens.AudienceAlgorithms)), signingkey.DefaultAlgorithm),
	}
	switch {
	case g.keys.external != nil:
		cfg.Elsewhere = keysOfSigner
	case g.keys.files != nil:
		cfg.Elsewhere = keysInFiles
	}
	return cfg
}
