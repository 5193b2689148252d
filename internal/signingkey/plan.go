package signingkey

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/boundobject"
)

// ClockSkew is how far the clocks of replicas may be apart for the plan to hold.
const ClockSkew = 5 * time.Minute

// Life is where a key is in its life at an instant, and the plan of it. A zero time is one that is not known, or never comes.
type Life struct {
	// Key is the stored key. It must not be changed.
	Key   *v1alpha1.SigningKey
	State v1alpha1.SigningKeyState
	// SigningSince is when the key began to sign or will. It is zero for a key that never signs.
	SigningSince time.Time
	// RetiredSince is when the key stopped signing or will; for a key that never signs, since when it is there.
	RetiredSince time.Time
	// GoneAt is when no token of the key can live any more. It is zero until the key has an end, and while a secret may
	// hold one of its tokens.
	GoneAt time.Time
}

// Verifies reports whether tokens of the key are accepted.
func (l *Life) Verifies() bool { return l.State != v1alpha1.SigningKeyGone }

// Published reports whether the key is in the published key set.
func (l *Life) Published() bool { return l.Verifies() && !l.Key.Spec.Hidden }

// Schedule is what Plan says of all keys at one instant.
type Schedule struct {
	// Keys are sorted by algorithm, and then from the first to sign to the last.
	Keys []Life
	// Next is the next instant at which the state of a key changes if nothing is written; zero if none does.
	Next time.Time
}

// Active returns the key that signs with an algorithm, or nil.
func (s *Schedule) Active(algorithm string) *Life {
	for i := range s.Keys {
		if l := &s.Keys[i]; l.State == v1alpha1.SigningKeyActive && l.Key.Spec.Algorithm == algorithm {
			return l
		}
	}
	return nil
}

// Prepared returns the next key to sign with an algorithm, or nil.
func (s *Schedule) Prepared(algorithm string) *Life {
	for i := range s.Keys {
		if l := &s.Keys[i]; l.State == v1alpha1.SigningKeyPrepared && l.Key.Spec.Algorithm == algorithm {
			return l
		}
	}
	return nil
}

// ByKeyID returns the key with a key id, or nil.
func (s *Schedule) ByKeyID(id string) *Life {
	for i := range s.Keys {
		if s.Keys[i].Key.Spec.KeyID == id {
			return &s.Keys[i]
		}
	}
	return nil
}

// Plan returns the life of each key at an instant. It depends on what is stored and the time alone, so replicas that read
// the same store need not agree on anything else.
//
// Of the keys of an algorithm, each takes over at its spec.signsFrom from the one that took over before it, which is then
// retired for good. A key whose spec.retiredFrom comes before its turn never signs, and one that stops at retiredFrom has
// no successor until the next key's turn. The end of a key is counted from status.tokensUntil, which is written before a
// token is signed.
//
// Whether a key has been superseded is told by its successor. So whatever removes a key writes spec.retiredFrom to those
// that it has superseded first: otherwise the latest of them would sign again.
func Plan(keys []*v1alpha1.SigningKey, now time.Time) Schedule {
	var s Schedule
	for _, key := range keys {
		s.Keys = append(s.Keys, Life{Key: key, SigningSince: firstSigns(&key.Spec)})
	}
	slices.SortFunc(s.Keys, compareTurns)
	for i := range s.Keys {
		l := &s.Keys[i]
		l.RetiredSince = l.retires(s.Keys[i+1:])
		l.GoneAt = l.goes()
		l.State = l.stateAt(now)
		for _, change := range []time.Time{l.SigningSince, l.RetiredSince, l.GoneAt} {
			if change.After(now) && (s.Next.IsZero() || change.Before(s.Next)) {
				s.Next = change
			}
		}
	}
	return s
}

// firstSigns returns when a key's turn comes, and zero if it never does.
func firstSigns(spec *v1alpha1.SigningKeySpec) time.Time {
	if spec.SignsFrom == nil || spec.RetiredFrom != nil && !spec.RetiredFrom.After(spec.SignsFrom.Time) {
		return time.Time{}
	}
	return spec.SignsFrom.Time
}

// compareTurns sorts keys by algorithm and turn, those without a turn first. Of keys with the same turn the one that is
// numbered last signs.
func compareTurns(a, b Life) int {
	return cmp.Or(
		strings.Compare(a.Key.Spec.Algorithm, b.Key.Spec.Algorithm),
		a.SigningSince.Compare(b.SigningSince),
		cmp.Compare(number(a.Key.Name), number(b.Key.Name)),
		strings.Compare(a.Key.Name, b.Key.Name),
	)
}

// retires returns when a key stops signing. later are the keys that come after it.
func (l *Life) retires(later []Life) time.Time {
	var from time.Time
	if at := l.Key.Spec.RetiredFrom; at != nil {
		from = at.Time
	}
	if l.SigningSince.IsZero() {
		return cmp.Or(from, l.published())
	}
	if len(later) > 0 && later[0].Key.Spec.Algorithm == l.Key.Spec.Algorithm {
		if turn := later[0].SigningSince; from.IsZero() || turn.Before(from) {
			return turn
		}
	}
	return from
}

// published returns since when a key has been published.
func (l *Life) published() time.Time {
	if at := l.Key.Spec.PublishedFrom; at != nil {
		return at.Time
	}
	return l.Key.CreationTimestamp.Time
}

// goes returns when no token of a key can live any more.
func (l *Life) goes() time.Time {
	if l.Key.Status.LegacyTokens || l.RetiredSince.IsZero() && !l.SigningSince.IsZero() {
		return time.Time{}
	}
	last := l.RetiredSince
	if until := l.Key.Status.TokensUntil; until != nil && until.After(last) {
		last = until.Time
	}
	return last.Add(boundobject.Leeway + ClockSkew)
}

func (l *Life) stateAt(now time.Time) v1alpha1.SigningKeyState {
	reached := func(at time.Time) bool { return !at.IsZero() && !at.After(now) }
	switch {
	case reached(l.GoneAt):
		return v1alpha1.SigningKeyGone
	case reached(l.RetiredSince), l.SigningSince.IsZero():
		return v1alpha1.SigningKeyRetired
	case reached(l.SigningSince):
		return v1alpha1.SigningKeyActive
	}
	return v1alpha1.SigningKeyPrepared
}

// ObjectName returns the name of the object of a new key: its algorithm and the next number. Two keys that are made at the
// same time get the same name, so that the store takes one of them only.
func ObjectName(algorithm string, taken []*v1alpha1.SigningKey) string {
	prefix, last := strings.ToLower(algorithm)+"-", 0
	for _, key := range taken {
		if strings.HasPrefix(key.Name, prefix) {
			last = max(last, number(key.Name))
		}
	}
	return prefix + strconv.Itoa(last+1)
}

// number returns the number at the end of a name, 0 if there is none.
func number(name string) int {
	n, err := strconv.Atoi(name[strings.LastIndexByte(name, '-')+1:])
	if err != nil {
		return 0
	}
	return n
}
