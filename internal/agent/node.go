package agent

import (
	"context"
	"errors"
	"runtime"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/klog/v2"
)

const (
	// heartbeat is how often the node's Lease is renewed. A Lease is over when four were missed.
	heartbeat            = time.Minute
	leaseDurationSeconds = int32(4 * heartbeat / time.Second)
)

// nodeObject is the Node as the agent registers it, with the labels of a kubelet.
func nodeObject(name string) *corev1.Node {
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:   name,
		Labels: map[string]string{corev1.LabelOSStable: runtime.GOOS, corev1.LabelArchStable: runtime.GOARCH},
	}}
	// The name of a node may be longer than the value of a label.
	if len(validation.IsValidLabelValue(name)) == 0 {
		node.Labels[corev1.LabelHostname] = name
	}
	return node
}

// register creates the Node unless it is there, and leaves one that is there as it is.
func (a *Agent) register(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	nodes := a.client.CoreV1().Nodes()
	node, err := nodes.Get(ctx, a.node, metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		node, err = nodes.Create(ctx, nodeObject(a.node), metav1.CreateOptions{})
		if apierrors.IsAlreadyExists(err) {
			node, err = nodes.Get(ctx, a.node, metav1.GetOptions{})
		}
	}
	if err != nil {
		return err
	}
	a.nodeUID = node.UID
	return nil
}

// keepLease renews the node's Lease until the context ends. It ends by itself if the server has no Leases.
func (a *Agent) keepLease(ctx context.Context) {
	var lease *coordinationv1.Lease
	failing := false
	for {
		var err error
		lease, err = a.renewLease(ctx, lease)
		if apierrors.IsNotFound(err) {
			klog.FromContext(ctx).Info("The server has no place for this node's Lease, so none is kept", "reason", err.Error())
			return
		}
		if failed := err != nil && ctx.Err() == nil; failed != failing {
			if failing = failed; failed {
				klog.FromContext(ctx).Info("The Lease of this node is not renewed", "reason", a.explainAnswer(err).Error())
			}
		}
		if !a.sleep(ctx, heartbeat) {
			return
		}
	}
}

// renewLease renews the Lease that is known, or reads or makes it. After a failure nothing is known.
func (a *Agent) renewLease(ctx context.Context, known *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	leases := a.client.CoordinationV1().Leases(corev1.NamespaceNodeLease)
	now, seconds := metav1.NewMicroTime(a.clock.Now()), leaseDurationSeconds
	lease := known
	if lease == nil {
		found, err := leases.Get(ctx, a.node, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return leases.Create(ctx, &coordinationv1.Lease{
				ObjectMeta: metav1.ObjectMeta{
					Name: a.node,
					// The Lease goes when the Node does.
					OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: a.node, UID: a.nodeUID}},
				},
				Spec: coordinationv1.LeaseSpec{HolderIdentity: &a.node, LeaseDurationSeconds: &seconds, RenewTime: &now},
			}, metav1.CreateOptions{})
		}
		if err != nil {
			return nil, err
		}
		lease = found
	}
	lease.Spec.HolderIdentity, lease.Spec.LeaseDurationSeconds, lease.Spec.RenewTime = &a.node, &seconds, &now
	renewed, err := leases.Update(ctx, lease, metav1.UpdateOptions{})
	if err != nil {
		if known != nil && (apierrors.IsConflict(err) || apierrors.IsNotFound(err)) {
			return a.renewLease(ctx, nil)
		}
		return nil, err
	}
	return renewed, nil
}

// errRemoved says what a server means that knows the certificate no more.
var errRemoved = errors.New("the server refuses the certificate of this node: the node was removed, or its certificate was revoked. The files stay as they are, and are not renewed. " +
	"To join again, an administrator makes a bootstrap token ('mintmark node add NAME'), and the agent is started again with it")
