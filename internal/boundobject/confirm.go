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
	return x.Explain(ctx, b, now, nil)
}

// Explain does the same and notes the checks. With notes, which may be nil, a refusal is no reason not to make the later
// checks; the error is the first one.
func (x *Index) Explain(ctx context.Context, b Binding, now time.Time, notes *reason.Checks) error {
	refused := reason.First{All: notes != nil}
	cut := now.Add(-Leeway)
	if refused.Stop(x.confirmAccount(ctx, &b, now, notes)) {
		return refused.Err
	}
	if b.Secret != (Ref{}) {
		secret, err := current(ctx, x, x.Secrets, b.Namespace, b.Secret, now)
		if refused.Stop(boundSecret.confirm(secret.object, err, b.Secret, cut, notes)) {
			return refused.Err
		}
	}
	switch {
	case b.Pod != (Ref{}):
		// The node of a pod is not looked at: it is there for information.
		pod, err := current(ctx, x, x.Pods, b.Namespace, b.Pod, now)
		refused.Stop(boundPod.confirm(pod.object, err, b.Pod, cut, notes))
	case b.Node != (Ref{}):
		node, err := current(ctx, x, x.Nodes, "", b.Node, now)
		refused.Stop(boundNode.confirm(node.object, err, b.Node, cut, notes))
	}
	return refused.Err
}

// Names of the checks.
const (
	checkAccount = "serviceAccount"
	checkSecret  = "boundSecret"
	checkPod     = "boundPod"
	checkNode    = "boundNode"
)

// Checks returns the names of the checks that Explain makes of a token that is bound to these objects.
func (b *Binding) Checks() []string {
	names := []string{checkAccount}
	if b.Secret != (Ref{}) {
		names = append(names, checkSecret)
	}
	switch {
	case b.Pod != (Ref{}):
		names = append(names, checkPod)
	case b.Node != (Ref{}):
		names = append(names, checkNode)
	}
	return names
}

// confirmAccount checks the service account.
func (x *Index) confirmAccount(ctx context.Context, b *Binding, now time.Time, notes *reason.Checks) error {
	account, err := x.namedAccount(ctx, b, now)
	if err == nil {
		switch {
		case account.UID != b.ServiceAccount.UID:
			err = reason.Errorf(reason.AccountRecreated, "service account UID (%s) does not match claim (%s)", account.UID, b.ServiceAccount.UID)
		case account.deletedBefore(now.Add(-Leeway)):
			err = reason.Errorf(reason.AccountGone, "service account %s/%s has been deleted", b.Namespace, b.ServiceAccount.Name)
		}
	}
	if notes != nil {
		notes.Note(checkAccount, err, b.ServiceAccount.shown(b.Namespace), account.shown(err))
	}
	return err
}

// namedAccount looks the service account up. A token with a good signature may name none. The texts are those of
// kube-apiserver's client.
func (x *Index) namedAccount(ctx context.Context, b *Binding, now time.Time) (ServiceAccount, error) {
	if b.ServiceAccount.Name == "" {
		return ServiceAccount{}, reason.New(reason.BadClaims, "resource name may not be empty")
	}
	if b.Namespace == "" {
		return ServiceAccount{}, reason.New(reason.BadClaims, "an empty namespace may not be set when a resource name is provided")
	}
	return x.Account(ctx, b.Namespace, b.ServiceAccount, now)
}

// kind is a kind of object that a token can be bound to: why a token is refused.
type kind struct {
	check     string
	gone      error
	recreated reason.Code
	// mismatch is the format of the error for another object of the name.
	mismatch string
}

var (
	boundSecret = &kind{
		checkSecret, reason.With(reason.SecretGone, ErrInvalidated), reason.SecretRecreated,
		"secret UID (%s) does not match service account secret ref claim (%s)",
	}
	boundPod = &kind{
		checkPod, reason.With(reason.PodGone, ErrInvalidated), reason.PodRecreated,
		"pod UID (%s) does not match service account pod ref claim (%s)",
	}
	boundNode = &kind{
		checkNode, reason.With(reason.NodeGone, ErrInvalidated), reason.NodeRecreated,
		"node UID (%s) does not match service account node ref claim (%s)",
	}
)

// confirm checks an object that a token is bound to.
func (k *kind) confirm(found object, lookup error, want Ref, cut time.Time, notes *reason.Checks) error {
	refused := k.refusal(found, lookup, want, cut)
	if notes != nil {
		notes.Note(k.check, refused, want.shown(""), found.shown(lookup))
	}
	return refused
}

func (k *kind) refusal(found object, lookup error, want Ref, cut time.Time) error {
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

// shown is the reference for people.
func (r Ref) shown(namespace string) string {
	name := r.Name
	if namespace != "" {
		name = namespace + "/" + name
	}
	return reason.Quote(name) + " with the UID " + reason.Quote(string(r.UID))
}

// shown is what is stored of an object, for people. The error is that of the lookup, or of a check.
func (o object) shown(err error) string {
	switch {
	case unread(err):
		return "not known: the store could not be read"
	case o.UID == "":
		return "none"
	case o.Deletion.IsZero():
		return "the UID " + reason.Quote(string(o.UID))
	}
	return "the UID " + reason.Quote(string(o.UID)) + ", deleted at " + o.Deletion.UTC().Format(time.RFC3339)
}

// unread reports whether a lookup failed without telling whether there is such an object.
func unread(lookup error) bool {
	_, ok := errors.AsType[*view.Unavailable](lookup)
	return ok
}
