package apiserver

import (
	"cmp"
	"context"
	"time"

	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/externaljwt"
	"github.com/mintmark/mintmark/internal/externalsigner"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// longestToken is the longest life of a token that is signed for another server, unless --service-account-max-token-expiration
// says otherwise. kube-apiserver extends the tokens of pods to as much.
const longestToken = 365 * 24 * time.Hour

// externalKeys returns the keys of the external signer that a flag names.
func (g *ground) externalKeys(ctx context.Context, tokens Tokens, now func() time.Time) (*keys, error) {
	signer, err := externalsigner.Connect(ctx, tokens.SigningEndpoint, now)
	if err != nil {
		return nil, err
	}
	g.add(signer.Close)
	k := newKeys(tokens, g.identity.Issuer())
	if k.maxExpiration, err = signer.MaxExpiration(tokens.MaxExpiration); err != nil {
		return nil, err
	}
	k.external, k.ring = signer, signingkey.NewRing(signer, now)
	return k, nil
}

// legacySigner returns what signs the tokens in secrets. They have no end, and external signers sign no such tokens.
func (k *keys) legacySigner() controller.Signer {
	if k.external != nil {
		return nil
	}
	return legacySigner{k.ring}
}

// newSignerSocket listens where this server signs for others, if a flag says so. It serves when the server is ready, until it
// begins to stop.
func newSignerSocket(ctx context.Context, cfg Config, keys *keys, generic *genericapiserver.Config) (*externaljwt.Server, error) {
	externaljwt.RegisterMetrics()
	externalsigner.RegisterMetrics()
	if cfg.ExternalSigner.Listen == "" {
		return nil, nil //nolint:nilnil // there is none
	}
	signer := externaljwt.Config{
		Address:       cfg.ExternalSigner.Listen,
		Mode:          cfg.ExternalSigner.Mode,
		AllowedUIDs:   cfg.ExternalSigner.AllowedUIDs,
		MaxExpiration: cmp.Or(cfg.Tokens.MaxExpiration, longestToken),
		Keys:          keys.ring,
		Now:           cfg.now(),
		Algorithm: func(audiences []string) string {
			for _, audience := range audiences {
				if chosen := cfg.Tokens.AudienceAlgorithms[audience]; chosen != "" {
					return chosen
				}
			}
			return ""
		},
	}
	if generic.AuditBackend != nil {
		signer.Audit = generic.AuditBackend
	} else {
		klog.FromContext(ctx).Info("Signatures for other servers are not recorded: there is no audit log; name one with --audit-policy-file and --audit-log-path")
	}
	return externaljwt.Listen(ctx, signer)
}
