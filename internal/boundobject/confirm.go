package boundobject

import (
	"context"
	"errors"
	"fmt"
	"time"

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
		return errors.New("resource name may not be empty")
	}
	if b.Namespace == "" {
		return errors.New("an empty namespace may not be set when a resource name is provided")
	}
	account, err := current(ctx, x, x.ServiceAccounts, b.Namespace, b.ServiceAccount, now)
	if err != nil {
		return err
	}
	if account.UID != b.ServiceAccount.UID {
		return fmt.Errorf("service account UID (%s) does not match claim (%s)", account.UID, b.ServiceAccount.UID)
	}
	if account.deletedBefore(cut) {
		return fmt.Errorf("service account %s/%s has been deleted", b.Namespace, b.ServiceAccount.Name)
	}
	if b.Secret != (Ref{}) {
		secret, err := current(ctx, x, x.Secrets, b.Namespace, b.Secret, now)
		if err := confirmOne(secret.object, err, b.Secret, "secret UID (%s) does not match service account secret ref claim (%s)", cut); err != nil {
			return err
		}
	}
	if b.Pod != (Ref{}) {
		pod, err := current(ctx, x, x.Pods, b.Namespace, b.Pod, now)
		// The node of a pod is not looked at: it is there for information.
		return confirmOne(pod.object, err, b.Pod, "pod UID (%s) does not match service account pod ref claim (%s)", cut)
	}
	if b.Node != (Ref{}) {
		node, err := current(ctx, x, x.Nodes, "", b.Node, now)
		return confirmOne(node.object, err, b.Node, "node UID (%s) does not match service account node ref claim (%s)", cut)
	}
	return nil
}

// confirmOne checks an object that a token is bound to.
func confirmOne(found object, lookup error, want Ref, mismatch string, cut time.Time) error {
	switch {
	case unread(lookup):
		return lookup
	case lookup != nil:
		return ErrInvalidated
	case found.UID != want.UID:
		return fmt.Errorf(mismatch, found.UID, want.UID)
	case found.deletedBefore(cut):
		return ErrInvalidated
	}
	return nil
}

// unread reports whether a lookup failed without telling whether there is such an object.
func unread(lookup error) bool {
	_, ok := errors.AsType[*view.Unavailable](lookup)
	return ok
}
