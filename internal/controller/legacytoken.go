package controller

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// legacyTokenInterval is how often the legacy tokens are looked through. Their dates are of days.
const legacyTokenInterval = 24 * time.Hour

// newLegacyTokenController makes the legacy-serviceaccount-token-cleaner-controller (KEP-2799). A token in a
// secret that its account lists is marked invalid when it has not been used for long, and deleted after the same time
// again. The only key stands for all tokens.
func newLegacyTokenController(cfg Config) func(context.Context) {
	return func(ctx context.Context) {
		newLoop[string](cfg.Clock).run(ctx, func() []string { return []string{"all"} }, func(ctx context.Context, _ string) (time.Duration, error) {
			return legacyTokenInterval, cfg.cleanLegacyTokens(ctx)
		})
	}
}

func (cfg Config) cleanLegacyTokens(ctx context.Context) error {
	now := cfg.Now().UTC()
	tracked, err := cfg.legacyTokensTracked(ctx)
	if err != nil || now.Before(tracked.Add(cfg.LegacyTokenCleanUpPeriod)) {
		return err
	}
	unused := cfg.Index.Secrets.Keys(func(key view.Key, secret boundobject.Secret) bool {
		return secret.Type == corev1.SecretTypeServiceAccountToken && secret.Deletion.IsZero() && cfg.unusedLegacyToken(now, secret.LastUsed)
	})
	slices.SortFunc(unused, func(a, b view.Key) int { return strings.Compare(a.Namespace, b.Namespace) })
	for len(unused) > 0 && ctx.Err() == nil {
		namespace := unused[0].Namespace
		end := slices.IndexFunc(unused, func(key view.Key) bool { return key.Namespace != namespace })
		if end < 0 {
			end = len(unused)
		}
		if err := cfg.cleanNamespaceOfLegacyTokens(ctx, now, namespace, unused[:end]); err != nil {
			return err
		}
		unused = unused[end:]
	}
	return ctx.Err()
}

// legacyTokensTracked returns the time since when the use of every legacy token is on record.
//
// kube-apiserver keeps the day when it began to keep record in the ConfigMap
// kube-system/kube-apiserver-legacy-service-account-token-tracking. Mintmark has kept record
// from its first day: that is when kube-system was made. The day itself may have been half over, so the next one counts.
func (cfg Config) legacyTokensTracked(ctx context.Context) (time.Time, error) {
	obj, err := cfg.Index.Namespaces.Object(ctx, "", metav1.NamespaceSystem)
	if apierrors.IsNotFound(err) {
		return time.Time{}, pending("the namespace kube-system is yet to be made")
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("since when legacy tokens are tracked: %w", err)
	}
	created := obj.(*corev1.Namespace).CreationTimestamp.UTC()
	return created.Truncate(24*time.Hour).AddDate(0, 0, 1), nil
}

// unusedLegacyToken reports whether a date of last use is long ago. There is none on a token that was never used, and
// one that can't be read may be any.
func (cfg Config) unusedLegacyToken(now time.Time, lastUsed string) bool {
	return lastUsed == "" || cfg.longAgo(now, lastUsed)
}

func (cfg Config) longAgo(now time.Time, date string) bool {
	day, err := time.Parse(time.DateOnly, date)
	return err == nil && day.Before(now.Add(-cfg.LegacyTokenCleanUpPeriod).Truncate(24*time.Hour))
}

func (cfg Config) cleanNamespaceOfLegacyTokens(ctx context.Context, now time.Time, namespace string, keys []view.Key) error {
	names := sets.New[string]()
	for _, key := range keys {
		names.Insert(key.Name)
	}
	pods, err := cfg.Client.CoreV1().Pods(namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return fmt.Errorf("listing the pods that may use legacy tokens: %w", err)
	}
	for i := range pods.Items {
		if err := withoutMentioned(names, &pods.Items[i].Spec); err != nil {
			return err
		}
	}
	for _, name := range sets.List(names) {
		// A conflict means that someone has just used or changed it. Tomorrow is another day.
		if err := cfg.cleanLegacyToken(ctx, now, namespace, name); err != nil && !apierrors.IsConflict(err) {
			return err
		}
	}
	return nil
}

// withoutMentioned takes out the names that a pod mentions anywhere. That is more than the secrets it mounts, on the safe
// side, and misses no kind of volume.
func withoutMentioned(names sets.Set[string], spec *corev1.PodSpec) error {
	raw, err := json.Marshal(spec)
	if err != nil {
		return fmt.Errorf("reading a pod: %w", err)
	}
	for decoder := json.NewDecoder(bytes.NewReader(raw)); ; {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading a pod: %w", err)
		}
		if text, ok := token.(string); ok {
			names.Delete(text)
		}
	}
}

// cleanLegacyToken decides about a token that is not used: first it is marked invalid, and that long again it is deleted.
func (cfg Config) cleanLegacyToken(ctx context.Context, now time.Time, namespace, name string) error {
	obj, err := cfg.Index.Secrets.Object(ctx, namespace, name)
	if err != nil {
		return ignoreNotFound(err)
	}
	secret := obj.(*corev1.Secret)
	if ok, err := cfg.cleanable(ctx, now, secret); err != nil || !ok {
		return err
	}
	logger := klog.FromContext(ctx)
	since := secret.Labels[boundobject.InvalidSinceLabel]
	if _, err := time.Parse(time.DateOnly, since); err != nil {
		if secret.Labels == nil {
			secret.Labels = map[string]string{}
		}
		secret.Labels[boundobject.InvalidSinceLabel] = now.Format(time.DateOnly)
		if _, err := cfg.Client.CoreV1().Secrets(namespace).Update(ctx, secret, metav1.UpdateOptions{}); err != nil {
			return ignoreNotFound(err)
		}
		logger.Info("Marked an unused legacy token invalid", "secret", klog.KObj(secret))
		return nil
	}
	if !cfg.longAgo(now, since) {
		return nil
	}
	if err := cfg.Client.CoreV1().Secrets(namespace).Delete(ctx, name, unchanged(secret)); err != nil {
		return ignoreNotFound(err)
	}
	logger.Info("Deleted a legacy token that has long been invalid", "secret", klog.KObj(secret))
	return nil
}

// cleanable reports whether a secret, as it is stored now, was made for its account and has not been used for long. Only
// those that the account lists were made for it; others were made by hand and are kept.
func (cfg Config) cleanable(ctx context.Context, now time.Time, secret *corev1.Secret) (bool, error) {
	if secret.Type != corev1.SecretTypeServiceAccountToken || secret.DeletionTimestamp != nil ||
		secret.CreationTimestamp.After(now.Add(-cfg.LegacyTokenCleanUpPeriod)) ||
		!cfg.unusedLegacyToken(now, secret.Labels[boundobject.LastUsedLabel]) {
		return false, nil
	}
	account, err := cfg.Index.ServiceAccounts.Lookup(ctx, secret.Namespace, secret.Annotations[corev1.ServiceAccountNameKey])
	if err != nil {
		return false, ignoreNotFound(err)
	}
	pinned := secret.Annotations[corev1.ServiceAccountUIDKey]
	return slices.Contains(account.Secrets, secret.Name) && (pinned == "" || pinned == string(account.UID)), nil
}
