package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// newBootstrapTokenController makes the token-cleaner-controller, which deletes expired bootstrap tokens. They don't
// authenticate even before that. Its keys are bootstrap token secrets.
func newBootstrapTokenController(cfg Config) func(context.Context) {
	queue := newLoop[view.Key](cfg.Clock)
	cfg.Index.Secrets.OnChange(func(key view.Key, obj runtime.Object) {
		secret, ok := obj.(*corev1.Secret)
		if ok && key.Namespace == metav1.NamespaceSystem && secret.Type == bootstrapapi.SecretTypeBootstrapToken {
			queue.Add(key)
		}
	})
	return func(ctx context.Context) {
		queue.run(ctx, func() []view.Key {
			return cfg.Index.Secrets.Keys(func(key view.Key, secret boundobject.Secret) bool {
				return key.Namespace == metav1.NamespaceSystem && secret.Type == bootstrapapi.SecretTypeBootstrapToken
			})
		}, cfg.removeBootstrapToken)
	}
}

func (cfg Config) removeBootstrapToken(ctx context.Context, key view.Key) (time.Duration, error) {
	obj, err := cfg.Index.Secrets.Object(ctx, key.Namespace, key.Name)
	if err != nil {
		return 0, ignoreNotFound(err)
	}
	secret := obj.(*corev1.Secret)
	expiration := string(secret.Data[bootstrapapi.BootstrapTokenExpirationKey])
	if secret.Type != bootstrapapi.SecretTypeBootstrapToken || secret.DeletionTimestamp != nil || expiration == "" {
		return 0, nil
	}
	// A time that can't be parsed counts as expired, as it does for authentication.
	if end, err := time.Parse(time.RFC3339, expiration); err == nil {
		if left := end.Sub(cfg.Now()); left > 0 {
			return left, nil
		}
	}
	if err := cfg.Client.CoreV1().Secrets(key.Namespace).Delete(ctx, key.Name, unchanged(secret)); err != nil {
		return 0, ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Deleted an expired bootstrap token", "secret", klog.KObj(secret))
	return 0, nil
}
