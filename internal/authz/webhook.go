package authz

import (
	"context"
	"fmt"
	"time"

	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"

	"github.com/mintmark/mintmark/internal/outbound"
)

// webhookMeters are the metrics of kube-apiserver for a webhook.
type webhookMeters struct {
	webhookmetrics.NoopRequestMetrics
	webhookmetrics.WebhookMetrics
	authorizationcel.MatcherMetrics
}

// newWebhook returns the authorizer that asks another server.
func newWebhook(name string, cfg *apiserverconfig.WebhookConfiguration) (mode, error) {
	client, err := outbound.Webhook(fmt.Sprintf("--authorization-webhook-config-file or --authorization-config, webhook %q", name), *cfg.ConnectionInfo.KubeConfigFile)
	if err != nil {
		return nil, err
	}
	client.Timeout = cfg.Timeout.Duration
	onError := authorizer.DecisionNoOpinion
	if cfg.FailurePolicy == apiserverconfig.FailurePolicyDeny {
		onError = authorizer.DecisionDeny
	}
	w, err := webhook.New(client, cfg.SubjectAccessReviewVersion,
		ttl(cfg.CacheAuthorizedRequests, cfg.AuthorizedTTL.Duration), ttl(cfg.CacheUnauthorizedRequests, cfg.UnauthorizedTTL.Duration),
		*genericoptions.DefaultAuthWebhookRetryBackoff(), onError, cfg.MatchConditions, name,
		webhookMeters{WebhookMetrics: webhookmetrics.NewWebhookMetrics(), MatcherMetrics: authorizationcel.NewMatcherMetrics()},
		authorizationcel.NewDefaultCompiler())
	if err != nil {
		return nil, fmt.Errorf("the authorization webhook %s: %w", name, err)
	}
	return boundedWebhook{w}, nil
}

// boundedWebhook is a webhook whose decision is waited for no longer than for every other call, retries included, and
// whose reasons are shortened: they are logged, audited and shown.
type boundedWebhook struct{ mode }

// Authorize asks the webhook.
func (w boundedWebhook) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	ctx, cancel := outbound.Call(ctx, "")
	defer cancel()
	decision, reason, err := w.mode.Authorize(ctx, a)
	return decision, outbound.Shorten(reason), outbound.ShortenError(err)
}

// ttl is how long an answer is remembered.
func ttl(remember bool, duration time.Duration) time.Duration {
	if !remember {
		return 0
	}
	return duration
}
