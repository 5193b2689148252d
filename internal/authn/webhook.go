package authn

import (
	"context"
	"errors"
	"reflect"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/webhook"

	"github.com/mintmark/mintmark/internal/outbound"
	"github.com/mintmark/mintmark/internal/reason"
)

// WebhookConfig names the webhook that is asked about tokens which no authenticator here knows.
type WebhookConfig struct {
	// KubeconfigFile says where the webhook is and how to call it (--authentication-token-webhook-config-file).
	KubeconfigFile string
	// Version of TokenReview that it is sent: v1 or v1beta1.
	Version string
	// CacheTTL is how long its verdicts are cached. Failed calls are not cached.
	CacheTTL time.Duration
	// CacheBytes bounds the memory for them; 0 means 16 MiB.
	CacheBytes int
}

// newWebhook returns the authenticator that asks a webhook.
func newWebhook(cfg WebhookConfig, audiences authenticator.Audiences) (authenticator.Token, error) {
	config, err := outbound.Webhook("--authentication-token-webhook-config-file", cfg.KubeconfigFile)
	if err != nil {
		return nil, err
	}
	remote, err := webhook.New(config, cfg.Version, audiences, *webhook.DefaultRetryBackoff())
	if err != nil {
		return nil, err
	}
	bounded := authenticator.TokenFunc(func(ctx context.Context, token string) (*authenticator.Response, bool, error) {
		ctx, cancel := outbound.Call(ctx, token)
		defer cancel()
		return remote.AuthenticateToken(ctx, token)
	})
	return explainedWebhook{newCache(bounded, cacheConfig{Store: newCacheStore(cfg.CacheBytes), SuccessTTL: cfg.CacheTTL, FailureTTL: cfg.CacheTTL})}, nil
}

// explainedWebhook gives the webhook's refusals their codes.
type explainedWebhook struct{ authenticator.Token }

// Explain returns whose a token is to the webhook.
func (w explainedWebhook) Explain(ctx context.Context, token string, notes *reason.Checks) (*authenticator.Response, error) {
	notes.Begin("Webhook")
	response, ok, err := w.AuthenticateToken(ctx, token)
	switch {
	case err != nil:
		err = reason.With(webhookReason(err), err)
	case !ok:
		err = reason.Invalid(reason.WebhookRefused)
	}
	if notes != nil {
		notes.Note("webhook", err, "", reason.Of(err).Meaning())
	}
	return response, err
}

// webhookReason tells the reason that a webhook gives for a refusal, which the library returns as a text alone, from a call
// that failed.
func webhookReason(err error) reason.Code {
	switch {
	case reason.Of(err) != reason.None:
		return reason.Of(err)
	case errors.Is(err, context.Canceled):
		return reason.Undecided
	case reflect.TypeOf(err) == reflect.TypeOf(errors.New("")):
		return reason.WebhookRefused
	}
	return reason.WebhookUnavailable
}
