package boundobject

import (
	"context"
	"errors"
	"time"

	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/view"
)

// Leeway is how long a token outlives the deletion time of an object that still exists, and its own end.
const Leeway = 60 * time.Second

// ErrInvalidated says that the pod, secret or node of a token is gone. Clients match on the text.
var ErrInvalidated = errors.New("service account token has been invalidated")

// Confirm returns nil if everything that the token depends on is there at now. The refusals, and their order, are
// kube-apiserver's (spec: bound-token checks of pkg/serviceaccount/claims.go). A view.Unavailable is no refusal.
func (x *Index) Confirm(ctx context.Context, b Binding, now time.Time) error {
	cut := now.Add(-Leeway)
	// A token with a good signature may name no account. The texts are those of kube-apiserver's client.
	if b.ServiceAccount.Name == "" {
		return reason.New(reason.BadClaims, "resource name may not be empty")
	}
	if b.Namespace == "" {
		return reason.New(reason.BadClaims, "an empty namespace may not be set when a resource name is provided")
	}
	account, err := x.Account(ctx, b.Namespace, b.ServiceAccount, now)
	if err != nil {
		return err
	}
	if account.UID != b.ServiceAccount.UID {
		return reason.Errorf(reason.AccountRecreated, "service account UID (%s) does not match claim (%s)", account.UID, b.ServiceAccount.UID)
	}
	if account.deletedBefore(cut) {
		return reason.Errorf(reason.AccountGone, "service account %s/%s has been deleted", b.Namespace, b.ServiceAccount.Name)
	}
	if b.Secret != (Ref{}) {
		secret, err := current(ctx, x, x.Secrets, b.Namespace, b.Secret, now)
		if err := boundSecret.confirm(secret.object, err, b.Secret, cut); err != nil {
			return err
		}
	}
	if b.Pod != (Ref{}) {
		pod, err := current(ctx, x, x.Pods, b.Namespace, b.Pod, now)
		// The node of a pod is not looked at: it is there for information.
		return boundPod.confirm(pod.object, err, b.Pod, cut)
	}
	if b.Node != (Ref{}) {
		node, err := current(ctx, x, x.Nodes, "", b.Node, now)
		return boundNode.confirm(node.object, err, b.Node, cut)
	}
	return nil
}

// kind is a kind of object that a token can be bound to: why a token is refused.
type kind struct {
	gone      error
	recreated reason.Code
	// mismatch is the format of the error for another object of the name.
	mismatch string
}

var (
	boundSecret = &kind{
		reason.With(reason.SecretGone, ErrInvalidated), reason.SecretRecreated,
		"secret UID (%s) does not match service account secret ref claim (%s)",
	}
	boundPod = &kind{
		reason.With(reason.PodGone, ErrInvalidated), reason.PodRecreated,
		"pod UID (%s) does not match service account pod ref claim (%s)",
	}
	boundNode = &kind{
		reason.With(reason.NodeGone, ErrInvalidated), reason.NodeRecreated,
		"node UID (%s) does not match service account node ref claim (%s)",
	}
)

// confirm checks an object that a token is bound to.
func (k *kind) confirm(found object, lookup error, want Ref, cut time.Time) error {
	switch {
	case unread(lookup):
		return lookup
	case lookup != nil:
		return k.gone
	case found.UID != want.UID:
		return reason.Errorf(k.recreated, k.mismatch, found.UID, want.UID)
	case found.deletedBefore(cut):
		return k.gone
	}
	return nil
}

// unread reports whether a lookup failed without telling whether there is such an object.
func unread(lookup error) bool {
	_, ok := errors.AsType[*view.Unavailable](lookup)
	return ok
}
