package mintmark

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/util/dryrun"
	"k8s.io/klog/v2"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
)

// maxDeleteTries is how often a deletion is decided anew because a server wrote to the key meanwhile.
const maxDeleteTries = 5

// Delete removes a key if no token that it signed can live, or by force: a grace period of 0, which kubectl delete --force asks
// for, gives these tokens up. The object goes first, and then the private half. A key that signs stays.
func (s *signingKeys) Delete(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	for try := 1; ; try++ {
		obj, gone, err := s.deleteOnce(ctx, name, validate, options.DeepCopy())
		if !apierrors.IsConflict(err) || !isStale(err) || try == maxDeleteTries || hasVersion(options) {
			return obj, gone, err
		}
	}
}

// staleError says that a key was written to while its deletion was decided.
type staleError struct{ error }

func (e staleError) Unwrap() error { return e.error }

func isStale(err error) bool {
	var stale staleError
	return errors.As(err, &stale)
}

// isForced reports whether the caller gives up the tokens of the key.
func isForced(options *metav1.DeleteOptions) bool {
	return options != nil && options.GracePeriodSeconds != nil && *options.GracePeriodSeconds == 0
}

func hasVersion(options *metav1.DeleteOptions) bool {
	return options != nil && options.Preconditions != nil && options.Preconditions.ResourceVersion != nil
}

func (s *signingKeys) deleteOnce(ctx context.Context, name string, validate rest.ValidateObjectFunc, options *metav1.DeleteOptions,
) (runtime.Object, bool, error) {
	keys, err := s.stored(ctx)
	if err != nil {
		return nil, false, err
	}
	schedule := signingkey.Plan(keys, s.Now())
	at := -1
	for i := range schedule.Keys {
		if schedule.Keys[i].Key.Name == name {
			at = i
		}
	}
	if at < 0 {
		return nil, false, apierrors.NewNotFound(mintmarkv1alpha1.Resource("signingkeys"), name)
	}
	life := &schedule.Keys[at]
	if s.Elsewhere == "" {
		if err := permitRemoval(life, isForced(options)); err != nil {
			return nil, false, conflict(name, err)
		}
	}
	if options == nil {
		options = &metav1.DeleteOptions{}
	}
	dry := dryrun.IsDryRun(options.DryRun)
	if at > 0 && !dry {
		if err := s.keepSuperseded(ctx, &schedule.Keys[at-1], life); err != nil {
			return nil, false, err
		}
	}
	// What was decided holds for this version. A server writes to a key before it signs with it for the first time.
	if options.Preconditions == nil {
		options.Preconditions = &metav1.Preconditions{}
	}
	if options.Preconditions.ResourceVersion == nil {
		options.Preconditions.ResourceVersion = &life.Key.ResourceVersion
	}
	// Nothing depends on keys, and a foreground deletion would leave the key in place.
	background := metav1.DeletePropagationBackground
	options.PropagationPolicy, options.OrphanDependents = &background, nil //nolint:staticcheck // clients still send it
	obj, gone, err := s.store.Delete(ctx, name, validate, options)
	if err != nil {
		if apierrors.IsConflict(err) {
			err = staleError{err}
		}
		return nil, false, err
	}
	if !dry {
		if err := s.PrivateKeys.Delete(ctx, signingkey.SecretName(name)); err != nil {
			klog.FromContext(ctx).Error(err, "The private half of a removed signing key is still stored; the signingkey-controller removes it later", "key", name)
		}
	}
	return obj, gone, nil
}

// permitRemoval returns an error that says when a key can be removed, if not now.
func permitRemoval(life *signingkey.Life, forced bool) error {
	key := life.Key
	const force = "To have these tokens refused at once, use --force"
	switch {
	case life.State == mintmarkv1alpha1.SigningKeyActive:
		return errors.New("the key signs now: make the one that takes over first (mintmark keys rotate), and remove this one when its tokens have ended")
	case forced, life.State == mintmarkv1alpha1.SigningKeyGone:
		return nil
	case life.State == mintmarkv1alpha1.SigningKeyPrepared && key.Status.TokensUntil == nil && !key.Status.LegacyTokens:
		return nil // nothing was signed with it
	case life.GoneAt.IsZero() && key.Status.LegacyTokens:
		return fmt.Errorf("secrets may hold tokens of the key, which have no end: the signingkey-controller signs them anew before the other tokens end. %s", force)
	case life.GoneAt.IsZero():
		return fmt.Errorf("tokens of the key may live, and it takes over at %s. %s", shown(life.SigningSince), force)
	}
	return fmt.Errorf("tokens of the key may live until %s: remove it after that. %s", shown(life.GoneAt), force)
}

// keepSuperseded writes down that a key was superseded by one that is about to be removed: without its successor it would
// sign again, or be gone later.
func (s *signingKeys) keepSuperseded(ctx context.Context, before, removed *signingkey.Life) error {
	turn := removed.SigningSince
	if before.Key.Spec.Algorithm != removed.Key.Spec.Algorithm || before.SigningSince.IsZero() || turn.IsZero() || turn.After(s.Now()) {
		return nil
	}
	path, err := s.store.KeyFunc(ctx, before.Key.Name)
	if err != nil {
		return err
	}
	retired := metav1.NewTime(turn)
	err = s.store.Storage.GuaranteedUpdate(ctx, path, &mintmarkv1alpha1.SigningKey{}, false, nil, storage.SimpleUpdate(
		func(obj runtime.Object) (runtime.Object, error) {
			key := obj.(*mintmarkv1alpha1.SigningKey)
			if key.Spec.RetiredFrom == nil || key.Spec.RetiredFrom.After(turn) {
				key.Spec.RetiredFrom = &retired
			}
			return key, nil
		}), false, nil)
	if storage.IsNotFound(err) {
		return nil
	}
	return err
}
