package signingkey

import (
	"context"
	"crypto"
	"fmt"
	"slices"
	"time"

	"github.com/google/uuid"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// Preparation is what a start asks for.
type Preparation struct {
	// Old is a key that signed before keys were in the store; nil if there is none.
	Old crypto.Signer
	// LongestToken is the longest life of a token that the old key may have signed.
	LongestToken time.Duration
	// Algorithms are those for which there must be a key. Without any key in the store there is one for DefaultAlgorithm, too,
	// unless the old key is there.
	Algorithms []string
	// NoneIsWrong is returned if there is neither a stored key nor an old one; nil if that is a first start.
	NoneIsWrong error
}

// Prepare stores the keys that must be there before the server serves. Several replicas may do so at once: a key that
// another has stored a moment ago is taken as it is. A key that was stored in part is completed.
//
// The first key of a store signs at once. An old key signs on; if the store has keys already, tokens of the old key are
// accepted until the last of them has ended. Further keys are published for the lead time first.
func (m *Managed) Prepare(ctx context.Context, want Preparation) error {
	for {
		stored, err := m.Store.List(ctx)
		if err != nil {
			return err
		}
		if err := m.keepOld(ctx, stored, &want); err != nil {
			return err
		}
		name, private, plan, err := m.missing(stored, &want)
		if err != nil || private == nil {
			return err
		}
		if err := m.add(ctx, name, private, plan); err != nil {
			return err
		}
	}
}

// missing returns the next key that has to be stored, under which name, and what writes the plan of its life.
func (m *Managed) missing(stored []*v1alpha1.SigningKey, want *Preparation) (name string, private crypto.Signer, plan func(*v1alpha1.SigningKey), err error) {
	now := m.Now()
	if want.Old != nil {
		old, err := Describe(want.Old.Public())
		if err != nil {
			return "", nil, nil, err
		}
		if !slices.ContainsFunc(stored, func(key *v1alpha1.SigningKey) bool { return key.Spec.KeyID == old.Spec.KeyID }) {
			return ObjectName(old.Spec.Algorithm, stored), want.Old, func(key *v1alpha1.SigningKey) {
				planOld(key, now, len(stored) == 0, want.LongestToken)
			}, nil
		}
	}
	if len(stored) == 0 {
		if want.NoneIsWrong != nil {
			return "", nil, nil, want.NoneIsWrong
		}
		private, err := Generate(DefaultAlgorithm)
		return ObjectName(DefaultAlgorithm, nil), private, func(key *v1alpha1.SigningKey) { planFirst(key, now) }, err
	}
	schedule := Plan(stored, now)
	for _, algorithm := range want.Algorithms {
		if schedule.Active(algorithm) != nil || schedule.Prepared(algorithm) != nil {
			continue
		}
		plan := func(key *v1alpha1.SigningKey) { PlanKey(key, now, m.Lead) }
		if fresh(stored, now) {
			plan = func(key *v1alpha1.SigningKey) { planFirst(key, now) }
		}
		private, err := Generate(algorithm)
		return ObjectName(algorithm, stored), private, plan, err
	}
	return "", nil, nil, nil
}

// freshFor is how long after its first key a store counts as one of which no relying party can know yet.
const freshFor = time.Minute

// fresh reports whether all stored keys are those of a first start that is under way.
func fresh(stored []*v1alpha1.SigningKey, now time.Time) bool {
	return !slices.ContainsFunc(stored, func(key *v1alpha1.SigningKey) bool {
		lead := key.Spec.LeadTime
		return lead == nil || lead.Duration != 0 || key.Status.TokensUntil != nil || now.Sub(key.CreationTimestamp.Time).Abs() > freshFor
	})
}

// keepOld has a stored old key kept for as long as tokens that it signed before may live. The start that stored it may have
// been cut off.
func (m *Managed) keepOld(ctx context.Context, stored []*v1alpha1.SigningKey, want *Preparation) error {
	if want.Old == nil {
		return nil
	}
	id, err := KeyID(want.Old.Public())
	if err != nil {
		return err
	}
	for _, key := range stored {
		if key.Spec.KeyID != id {
			continue
		}
		until := metav1.NewTime(m.Now().Add(want.LongestToken).UTC().Truncate(time.Second))
		return m.Store.Update(ctx, key.Name, func(key *v1alpha1.SigningKey) error {
			key.Status.LegacyTokens = true
			if key.Status.TokensUntil == nil || key.Status.TokensUntil.Before(&until) {
				key.Status.TokensUntil = &until
			}
			return nil
		})
	}
	return nil
}

// planFirst writes the plan of a key before which there was none. It has signed for as long as clocks may differ, so that it
// signs at once on a replica whose clock is behind.
func planFirst(key *v1alpha1.SigningKey, now time.Time) { PlanKey(key, now.Add(-ClockSkew), 0) }

// planOld writes the plan of a key that has signed before keys were in the store. Secrets may hold tokens of it.
func planOld(key *v1alpha1.SigningKey, now time.Time, signs bool, longest time.Duration) {
	planFirst(key, now)
	if !signs {
		key.Spec.SignsFrom = nil
	}
	until := metav1.NewTime(now.Add(longest).UTC().Truncate(time.Second))
	key.Status.TokensUntil, key.Status.LegacyTokens = &until, true
}

// add stores a key: the private half first, so that there is never an object without one. If another has stored the private
// half, the object is made of that.
func (m *Managed) add(ctx context.Context, name string, private crypto.Signer, plan func(*v1alpha1.SigningKey)) error {
	text, err := EncodePrivate(private)
	if err != nil {
		return err
	}
	if err := m.Secrets.Create(ctx, SecretName(name), text); err != nil {
		found, getErr := m.Secrets.Get(ctx, SecretName(name))
		if getErr != nil || found == nil {
			return err
		}
		other, err := ParsePrivate(found, "the private half of the signing key "+name)
		if err != nil {
			return err
		}
		if !sameKey(other.Public(), private.Public()) {
			return m.adopt(ctx, name, other)
		}
	}
	key, err := Describe(private.Public())
	if err != nil {
		return err
	}
	plan(key)
	return m.create(ctx, name, key)
}

// adopt makes the object of a private half that another process has stored. If that process is about to, so much the better;
// if it has died, the key signs nothing that is out, and takes over with the usual lead, or at once in a store without keys.
func (m *Managed) adopt(ctx context.Context, name string, private crypto.Signer) error {
	key, err := Describe(private.Public())
	if err != nil {
		return err
	}
	stored, err := m.Store.List(ctx)
	if err != nil {
		return err
	}
	lead := m.Lead
	if len(stored) == 0 || fresh(stored, m.Now()) {
		lead = 0
	}
	PlanKey(key, m.Now(), lead)
	return m.create(ctx, name, key)
}

func (m *Managed) create(ctx context.Context, name string, key *v1alpha1.SigningKey) error {
	key.Name, key.UID, key.CreationTimestamp, key.Generation = name, types.UID(uuid.NewString()), metav1.NewTime(m.Now().UTC().Truncate(time.Second)), 1
	err := m.Store.Create(ctx, key)
	if apierrors.IsAlreadyExists(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("storing the signing key %s: %w", name, err)
	}
	klog.FromContext(ctx).Info("A signing key was stored", "signingkey", name, "keyID", key.Spec.KeyID)
	return nil
}
