package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// once writes all files and returns why some could not be written.
func (a *Agent) once(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- a.keeper.Run(running) }()
	err := a.writeOnce(ctx)
	stop()
	return errors.Join(err, <-done)
}

func (a *Agent) writeOnce(ctx context.Context) error {
	var pods []corev1.Pod
	if err := a.patiently(ctx, func() (err error) {
		if err = a.register(ctx); err == nil {
			pods, err = a.listPods(ctx)
		}
		if apierrors.IsUnauthorized(err) {
			return &refusedError{errRemoved.Error()}
		}
		return err
	}); err != nil {
		return err
	}
	// The answers have told the time of the server.
	if current := a.connection.current(); a.latestNow().After(renewAt(current)) {
		if err := a.renewCertificate(ctx); err != nil {
			klog.FromContext(ctx).Error(a.explainAnswer(err), "The client certificate is not renewed", "node", a.node, "notAfter", current.Leaf.NotAfter)
		}
	}
	keys := make([]types.NamespacedName, 0, len(pods))
	for i := range pods {
		a.keeper.Set(&pods[i])
		keys = append(keys, types.NamespacedName{Namespace: pods[i].Namespace, Name: pods[i].Name})
	}
	if err := a.keeper.Retain(keys); err != nil {
		return err
	}
	timer := a.clock.NewTimer(oncePatience)
	defer timer.Stop()
	for {
		select {
		case <-a.keeper.Written():
			return a.unwritten()
		case <-a.changed:
			if a.isDecided() {
				return a.unwritten()
			}
		case <-timer.C():
			return a.unwritten()
		case <-ctx.Done():
			return errors.New("interrupted: not all files are written")
		}
	}
}

// isDecided reports whether each volume is written, or failed in a way that no further try will change.
func (a *Agent) isDecided() bool {
	volumes := a.keeper.Status()
	return !slices.ContainsFunc(volumes, func(v projectedvolume.VolumeStatus) bool {
		return v.Written.IsZero() && (v.Err == nil || !v.Next.IsZero())
	})
}

// unwritten returns an error that names each volume whose files are not written, and why.
func (a *Agent) unwritten() error {
	var failed []error
	volumes := a.keeper.Status()
	for i := range volumes {
		v := &volumes[i]
		switch {
		case v.Err != nil:
			failed = append(failed, fmt.Errorf("the volume %s of pod %s/%s: %w", v.Volume, v.Namespace, v.Pod, v.Err))
		case v.Written.IsZero():
			failed = append(failed, fmt.Errorf("the volume %s of pod %s/%s was not written within %s", v.Volume, v.Namespace, v.Pod, oncePatience))
		}
	}
	if len(volumes) == 0 {
		klog.Background().Info("No pod with a projected volume names this node, so there are no files to write", "node", a.node)
	}
	return errors.Join(failed...)
}
