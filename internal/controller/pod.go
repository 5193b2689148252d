package controller

import (
	"context"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/view"
)

// newPodController makes the pod-garbage-collector-controller. It removes a pod whose grace period is over, since no kubelet
// does. Its keys are pods that are being deleted.
func newPodController(cfg Config) func(context.Context) {
	queue := newLoop[view.Key](cfg.Clock)
	cfg.Index.Pods.OnChange(func(key view.Key, obj runtime.Object) {
		if pod, ok := obj.(*corev1.Pod); ok && pod.DeletionTimestamp != nil {
			queue.Add(key)
		}
	})
	return func(ctx context.Context) {
		queue.run(ctx, func() []view.Key {
			return cfg.Index.Pods.Keys(func(_ view.Key, pod boundobject.Pod) bool { return !pod.Deletion.IsZero() })
		}, cfg.removePod)
	}
}

func (cfg Config) removePod(ctx context.Context, key view.Key) (time.Duration, error) {
	obj, err := cfg.Index.Pods.Object(ctx, key.Namespace, key.Name)
	if err != nil {
		return 0, ignoreNotFound(err)
	}
	pod := obj.(*corev1.Pod)
	if pod.DeletionTimestamp == nil {
		return 0, nil
	}
	// A pod without grace that is still there is held by finalizers, and goes with the last of them.
	if grace := pod.DeletionGracePeriodSeconds; grace != nil && *grace == 0 {
		return 0, nil
	}
	if left := pod.DeletionTimestamp.Sub(cfg.Now()); left > 0 {
		return left, nil
	}
	options := metav1.NewPreconditionDeleteOptions(string(pod.UID))
	options.GracePeriodSeconds = new(int64)
	if err := cfg.Client.CoreV1().Pods(key.Namespace).Delete(ctx, key.Name, *options); err != nil {
		return 0, ignoreNotFound(err)
	}
	klog.FromContext(ctx).V(2).Info("Removed a pod whose grace is over", "pod", klog.KObj(pod))
	return 0, nil
}
