package apiserver

import (
	"context"
	"errors"
	"fmt"

	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/identity"
)

// openSealer returns what encrypts the private keys in a store. With the embedded store, the key for it is made in the data directory
// if there is none. For an external store none is made: another server could not read what it encrypts.
func (g *ground) openSealer(ctx context.Context) (*identity.Sealer, error) {
	s, dir := g.store, g.dir
	cfg := identity.SealerConfig{
		ConfigurationFile:    s.options.EncryptionProviderConfigFilepath,
		Reload:               s.options.EncryptionProviderConfigAutomaticReload,
		KeyEncryptionKeyFile: dir.Path(datadir.KeyEncryptionKey),
	}
	var err error
	if cfg.KeyEncryptionKey, err = dir.KeyEncryptionKey(); err != nil {
		return nil, err
	}
	sealer, err := identity.NewSealer(ctx, cfg)
	if !errors.Is(err, identity.ErrNoKey) {
		return sealer, err
	}
	if !s.embedded() {
		return nil, fmt.Errorf("the store is an external etcd, and %w: give this server and all others over it the same file with --encryption-provider-config, "+
			"whose first provider for secrets (or for signingkeys.mintmark.io) encrypts, or put the same key-encryption key into each data directory: "+
			"(umask 077; head -c 32 /dev/urandom | base64 >%s)", err, cfg.KeyEncryptionKeyFile)
	}
	sealed, err := identity.Sealed(ctx, s.client, s.prefix())
	if err != nil {
		return nil, err
	}
	if sealed {
		return nil, fmt.Errorf("the store holds private keys that were encrypted, and %s is missing: put the file back from a backup of the data directory, "+
			"or give the --encryption-provider-config that they were encrypted with", cfg.KeyEncryptionKeyFile)
	}
	if cfg.KeyEncryptionKey, err = dir.MakeKeyEncryptionKey(); err != nil {
		return nil, err
	}
	g.made = append(g.made, cfg.KeyEncryptionKeyFile)
	return identity.NewSealer(ctx, cfg)
}

// openIdentity opens what this server shares with the others over its store, and moves there what an older version kept in the data
// directory: its files are removed when the store has it.
func (g *ground) openIdentity(ctx context.Context, tokens Tokens) (*identity.Identity, error) {
	former, err := g.dir.Former()
	if err != nil {
		return nil, err
	}
	server, err := g.dir.ServerName()
	if err != nil {
		return nil, err
	}
	shared, err := identity.Open(ctx, identity.Config{
		Client: g.store.client, Prefix: g.store.prefix(), Sealer: g.sealer, Server: server,
		Issuers: tokens.Issuers, Derived: g.endpoint.url(), ChangeIssuer: tokens.ChangeIssuer,
		Former: former, Changed: g.endpoint.Enqueue,
	})
	if err != nil {
		return nil, err
	}
	return shared, g.dir.ForgetFormer()
}

// resealSecrets encrypts the private keys in the store anew that would be encrypted in another way now.
func (g *ground) resealSecrets(ctx context.Context) {
	if err := g.secrets.Reseal(ctx); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "Private keys in the store could not be encrypted anew")
	}
}
