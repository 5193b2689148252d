package apiserver

import (
	"context"
	"fmt"
	"time"

	"k8s.io/apiserver/pkg/authorization/authorizer"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/controller"
)

// certificateRequests returns what the controllers of certificate signing requests work on. Without files, the authority of the
// identity signs, which this server accepts for clients.
func certificateRequests(cfg ClusterSigning, g *ground, v *views, z authorizer.UnconditionalAuthorizer) (*controller.CertificateRequests, error) {
	requests := &controller.CertificateRequests{View: v.requests, Authorizer: z, Longest: cfg.Duration, Now: time.Now}
	if cfg.CertFile == "" {
		requests.Authority = func(_ context.Context, now time.Time) certificates.Authority {
			certificate, key := g.identity.Signer(now)
			return certificates.Authority{Certificate: certificate, Key: key}
		}
		return requests, nil
	}
	files, err := certificates.NewFiles(cfg.CertFile, cfg.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("--cluster-signing-cert-file and --cluster-signing-key-file: %w", err)
	}
	requests.Authority = func(ctx context.Context, _ time.Time) certificates.Authority { return files.Authority(ctx) }
	return requests, nil
}
