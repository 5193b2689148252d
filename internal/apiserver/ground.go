package apiserver

import (
	"context"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/identity"
)

// ground is what a server stands on: its data directory, its store with the identity in it, its port with a certificate, and its
// keys.
type ground struct {
	closers
	dir      *datadir.Dir
	store    *store
	sealer   *identity.Sealer
	secrets  *identity.Secrets
	endpoint *endpoint
	identity *identity.Identity
	keys     *keys
	// made names files besides certificates and keys that this start has made.
	made []string
}

// openGround takes all of it. What it has taken by then it gives back if it fails.
func openGround(ctx context.Context, cfg Config) (_ *ground, err error) {
	g := &ground{}
	defer func() {
		if err != nil {
			g.close()
		}
	}()
	if g.dir, err = datadir.Open(cfg.DataDir); err != nil {
		return nil, err
	}
	g.add(func() { _ = g.dir.Close() })
	// Before the store is opened: a start with a key that can't be used changes nothing.
	var signing signingKey
	if cfg.Tokens.SigningEndpoint == "" {
		if signing, err = openSigningKey(cfg.Tokens, g.dir); err != nil {
			return nil, err
		}
	}
	if g.store, err = openStore(ctx, cfg.Storage, g.dir, cfg.Ephemeral); err != nil {
		return nil, err
	}
	g.add(g.store.close)
	if g.sealer, err = g.openSealer(ctx); err != nil {
		return nil, err
	}
	g.add(g.sealer.Close)
	g.secrets = identity.NewSecrets(g.store.client, g.store.prefix(), g.sealer)
	if g.endpoint, err = listen(cfg); err != nil {
		return nil, err
	}
	g.add(g.endpoint.close)
	// The identity before all that is stored besides: private keys in a store without one belong to nothing.
	if g.identity, err = g.openIdentity(ctx, cfg.Tokens); err != nil {
		return nil, err
	}
	if err := g.endpoint.certify(ctx, g.dir, g.identity); err != nil {
		return nil, err
	}
	if cfg.Tokens.SigningEndpoint != "" {
		g.keys, err = g.externalKeys(ctx, cfg.Tokens, cfg.now())
	} else {
		g.keys = g.loadKeys(cfg, signing)
	}
	if err != nil {
		return nil, err
	}
	return g, nil
}

// renewCertificates replaces the certificates before they expire, and follows those of the operator.
func (g *ground) renewCertificates(ctx context.Context) {
	g.dir.RenewCertificates(ctx, g.endpoint.wanted, g.endpoint.files, g.endpoint.changed, g.endpoint.renewed)
}
