package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// defaultAccount is the name of the service account that every active namespace has.
const defaultAccount = "default"

// newServiceAccountController makes the serviceaccount-controller. Its keys are names of namespaces.
func newServiceAccountController(cfg Config) func(context.Context) {
	queue := newLoop[string](cfg.Clock)
	cfg.Index.Namespaces.OnChange(func(key view.Key, obj runtime.Object) {
		if obj != nil {
			queue.Add(key.Name)
		}
	})
	cfg.Index.ServiceAccounts.OnChange(func(key view.Key, obj runtime.Object) {
		if obj == nil && key.Name == defaultAccount {
			queue.Add(key.Namespace)
		}
	})
	return func(ctx context.Context) {
		queue.run(ctx, func() []string {
			var names []string
			for _, key := range cfg.Index.Namespaces.Keys(func(view.Key, boundobject.Namespace) bool { return true }) {
				names = append(names, key.Name)
			}
			return names
		}, cfg.ensureDefaultAccount)
	}
}

func (cfg Config) ensureDefaultAccount(ctx context.Context, namespace string) (time.Duration, error) {
	if _, exists := cfg.Index.ServiceAccounts.Get(namespace, defaultAccount); exists {
		return 0, nil
	}
	record, err := cfg.Index.Namespaces.Lookup(ctx, "", namespace)
	if err != nil {
		return 0, ignoreNotFound(err)
	}
	if record.Terminating || !record.Deletion.IsZero() {
		return 0, nil
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: defaultAccount}}
	_, err = cfg.Client.CoreV1().ServiceAccounts(namespace).Create(ctx, account, metav1.CreateOptions{})
	switch {
	case err == nil:
		klog.FromContext(ctx).V(2).Info("Created the default service account", "namespace", namespace)
		return 0, nil
	case apierrors.IsAlreadyExists(err), apierrors.HasStatusCause(err, corev1.NamespaceTerminatingCause):
		return 0, nil
	}
	return 0, ignoreNotFound(err)
}
