package controller

import (
	"context"
	"errors"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// signingKeyInterval is how often the keys are looked at if nothing happens: the clock may be set.
	signingKeyInterval = time.Minute
	// goneFor is for how long a key must be gone, and a private half without an object, by a clock that can't be set,
	// before it is removed.
	goneFor = 5 * time.Minute
	// resignBefore is how long before the end of a key its tokens in secrets are signed anew.
	resignBefore = time.Hour
)

// KeyStore reads and writes the signing keys.
type KeyStore interface {
	// Stored returns all keys as they are in the store.
	Stored(ctx context.Context) ([]*v1alpha1.SigningKey, error)
	// Note writes the status of a key if change reports that it has changed it. It is called with what is stored.
	Note(ctx context.Context, name string, change func(*v1alpha1.SigningKey) bool) error
	// Make makes a key through the API.
	Make(ctx context.Context, key *v1alpha1.SigningKey) error
	// Remove removes this version of a key through the API.
	Remove(ctx context.Context, key *v1alpha1.SigningKey) error
}

// PrivateKeys holds the private halves of keys by name.
type PrivateKeys interface {
	Names(ctx context.Context) ([]string, error)
	Delete(ctx context.Context, name string) error
}

// SigningKeys is what the signingkey-controller works on.
type SigningKeys struct {
	Store   KeyStore
	Private PrivateKeys
	// OnChange tells of changes of keys.
	OnChange func(view.Handler)
	// Lead is how long a key is published before it signs.
	Lead time.Duration
	// RotationPeriod is how long a key signs before the next one takes over; 0 means until a command makes one.
	RotationPeriod time.Duration
}

// signingKeyController is the signingkey-controller. It notes where keys are in their life, removes those that are gone and
// private halves without an object, signs the tokens in secrets anew before their key goes, and prepares the next key if
// keys are rotated by a period. Servers decide by the plan and not by what is noted, so nothing waits for this controller.
type signingKeyController struct {
	Config
	// gone and orphans say since when a key has been gone and a private half has had no object. They are forgotten when
	// another replica takes over, which then waits anew.
	gone, orphans map[string]time.Time
}

// everyKey is the only key of the queue, since keys depend on one another.
const everyKey = "all"

func newSigningKeyController(cfg Config) func(context.Context) {
	if cfg.SigningKeys == nil {
		return nil
	}
	queue := newLoop[string](cfg.Clock)
	cfg.SigningKeys.OnChange(func(view.Key, runtime.Object) { queue.Add(everyKey) })
	return func(ctx context.Context) {
		c := &signingKeyController{Config: cfg, gone: map[string]time.Time{}, orphans: map[string]time.Time{}}
		queue.run(ctx, func() []string { return []string{everyKey} }, c.settle)
	}
}

// settle looks at all keys, and returns when to look again.
func (c *signingKeyController) settle(ctx context.Context, _ string) (time.Duration, error) {
	// Private halves are stored before their objects, so the objects of all of these are read after them.
	private, err := c.SigningKeys.Private.Names(ctx)
	if err != nil {
		return 0, err
	}
	keys, err := c.SigningKeys.Store.Stored(ctx)
	if err != nil {
		return 0, err
	}
	now := c.Now()
	schedule := signingkey.Plan(keys, now)
	pause := signingKeyInterval
	if !schedule.Next.IsZero() {
		pause = min(pause, schedule.Next.Sub(now))
	}
	var errs []error
	for i := range schedule.Keys {
		errs = append(errs, c.note(ctx, &schedule.Keys[i]))
	}
	errs = append(errs,
		c.resign(ctx, &schedule, now),
		c.removeGone(ctx, &schedule),
		c.removeOrphans(ctx, private, keys),
		c.rotate(ctx, &schedule, now))
	return max(pause, time.Millisecond), errors.Join(errs...)
}

// note writes down where a key is in its life.
func (c *signingKeyController) note(ctx context.Context, life *signingkey.Life) error {
	if !noteLife(life.Key.DeepCopy(), life) {
		return nil
	}
	if err := Leading(ctx); err != nil {
		return err
	}
	logger := klog.FromContext(ctx)
	if before := life.Key.Status.State; before != life.State {
		logger.Info("A signing key has another state", "key", life.Key.Name, "keyID", life.Key.Spec.KeyID, "state", life.State, "before", before)
	}
	return ignoreNotFound(c.SigningKeys.Store.Note(ctx, life.Key.Name, func(key *v1alpha1.SigningKey) bool { return noteLife(key, life) }))
}

// noteLife sets the status of a key and reports whether that changes it.
func noteLife(key *v1alpha1.SigningKey, life *signingkey.Life) bool {
	before := key.Status.DeepCopy()
	key.Status.State = life.State
	key.Status.SigningSince, key.Status.RetiredSince = noted(life.SigningSince), noted(life.RetiredSince)
	return key.Status.State != before.State || !key.Status.SigningSince.Equal(before.SigningSince) || !key.Status.RetiredSince.Equal(before.RetiredSince)
}

func noted(t time.Time) *metav1.Time {
	if t.IsZero() {
		return nil
	}
	return &metav1.Time{Time: t.UTC().Truncate(time.Second)}
}

// lasting returns for which of the names a condition has held for goneFor. since has the names from the look before.
func lasting(since map[string]time.Time, names []string, now time.Time) []string {
	for name := range since {
		if !slices.Contains(names, name) {
			delete(since, name)
		}
	}
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool {
		if since[name].IsZero() {
			since[name] = now // with a monotonic reading, which Sub goes by
		}
		return now.Sub(since[name]) < goneFor
	})
}

// removeGone removes the keys none of whose tokens can live. A clock that is set wrong for a moment removes none.
func (c *signingKeyController) removeGone(ctx context.Context, schedule *signingkey.Schedule) error {
	var names []string
	for i := range schedule.Keys {
		if schedule.Keys[i].State == v1alpha1.SigningKeyGone {
			names = append(names, schedule.Keys[i].Key.Name)
		}
	}
	names = lasting(c.gone, names, c.Now())
	var errs []error
	for i := range schedule.Keys {
		key := schedule.Keys[i].Key
		if !slices.Contains(names, key.Name) {
			continue
		}
		err := ignoreNotFound(c.SigningKeys.Store.Remove(ctx, key))
		if err == nil {
			klog.FromContext(ctx).Info("Removed a signing key whose tokens have ended", "key", key.Name, "keyID", key.Spec.KeyID)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// removeOrphans removes private halves without an object: those of keys whose making or removal was cut off.
func (c *signingKeyController) removeOrphans(ctx context.Context, private []string, keys []*v1alpha1.SigningKey) error {
	named := map[string]bool{}
	for _, key := range keys {
		named[signingkey.SecretName(key.Name)] = true
	}
	orphans := slices.DeleteFunc(slices.Clone(private), func(name string) bool {
		return named[name] || !strings.HasPrefix(name, signingkey.SecretName(""))
	})
	var errs []error
	for _, name := range lasting(c.orphans, orphans, c.Now()) {
		if err := Leading(ctx); err != nil {
			return err
		}
		err := c.SigningKeys.Private.Delete(ctx, name)
		if err == nil {
			klog.FromContext(ctx).Info("Removed the private half of a signing key that is not there", "name", name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// rotate prepares the next key of each algorithm, so that it takes over when the one that signs has done so for the period.
// A key that is prepared, or whose end is planned, is left to the operator.
func (c *signingKeyController) rotate(ctx context.Context, schedule *signingkey.Schedule, now time.Time) error {
	cfg := c.SigningKeys
	if cfg.RotationPeriod == 0 {
		return nil
	}
	var errs []error
	for i := range schedule.Keys {
		life := &schedule.Keys[i]
		algorithm := life.Key.Spec.Algorithm
		if life.State != v1alpha1.SigningKeyActive || !life.RetiredSince.IsZero() || schedule.Prepared(algorithm) != nil {
			continue
		}
		until := life.SigningSince.Add(cfg.RotationPeriod).Sub(now)
		if until > cfg.Lead+signingKeyInterval {
			continue // there is a look in every interval
		}
		lead := metav1.Duration{Duration: max(cfg.Lead, until)}
		err := cfg.Store.Make(ctx, &v1alpha1.SigningKey{Spec: v1alpha1.SigningKeySpec{Algorithm: algorithm, LeadTime: &lead}})
		switch {
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			// Another replica was quicker. The change of the keys brings the next look.
			continue
		case err == nil:
			klog.FromContext(ctx).Info("Prepared the next signing key", "algorithm", algorithm, "before", life.Key.Name)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
