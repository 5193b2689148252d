package authz

import (
	"fmt"
	"time"

	apiserverconfig "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	authorizationcel "k8s.io/apiserver/pkg/authorization/cel"
	genericoptions "k8s.io/apiserver/pkg/server/options"
	webhookutil "k8s.io/apiserver/pkg/util/webhook"
	"k8s.io/apiserver/plugin/pkg/authorizer/webhook"
	webhookmetrics "k8s.io/apiserver/plugin/pkg/authorizer/webhook/metrics"
)

// webhookMeters are the metrics of kube-apiserver for a webhook.
type webhookMeters struct {
	webhookmetrics.NoopRequestMetrics
	webhookmetrics.WebhookMetrics
	authorizationcel.MatcherMetrics
}

// newWebhook returns the authorizer that asks another server.
func newWebhook(name string, cfg *apiserverconfig.WebhookConfiguration) (mode, error) {
	client, err := webhookutil.LoadKubeconfig(*cfg.ConnectionInfo.KubeConfigFile, nil)
	if err != nil {
		return nil, fmt.Errorf("the authorization webhook %s: %w", name, err)
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
	return w, nil
}

// ttl is how long an answer is remembered.
func ttl(remember bool, duration time.Duration) time.Duration {
	if !remember {
		return 0
	}
	return duration
}
