package tokenreview

import (
	"hash/maphash"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// What verdicts depend on besides objects.
const (
	markAll      = "all"
	markOpaque   = "opaque"   // tokens that are no JWTs
	markNameless = "nameless" // tokens without a claim jti
	markIssuer   = "issuer"
	markSubject  = "subject"
	markKey      = "key"
	markID       = "id"
)

// marks are what ended, by what verdicts depend on. A verdict looks at them only if there were events since it did so last.
//
// What a verdict depends on is kept as a hash. If two things have the same one, a verdict ends early, and is asked for again.
type marks struct {
	seq  atomic.Uint64 // the number of the last event
	seed maphash.Seed
	// keep is how long a mark is needed: no verdict is older.
	keep int64

	mu    sync.RWMutex
	floor uint64 // verdicts of smaller numbers have ended
	marks map[uint64]mark
	sweep int // at how many marks the old ones are dropped
}

// mark is the last event about something.
type mark struct {
	seq uint64
	at  int64 // when it came
	// before is the claim iat up to which tokens have ended.
	before int64
	// endsAt is the instant at which its tokens will end, 0 if they have ended.
	endsAt int64
}

const (
	// lag is how long after an event a review may still be answered by a replica that does not know of it. A replica of Mintmark gives
	// no verdicts from memory that is older than its --max-staleness, thirty seconds unless it is set.
	lag = int64(time.Minute)
	// maxMarks bounds the marks. If there are more, all verdicts end.
	maxMarks   = 1 << 16
	firstSweep = 1 << 10
)

func (m *marks) init(keep time.Duration) {
	m.seed, m.keep, m.marks, m.sweep = maphash.MakeSeed(), int64(keep), map[uint64]mark{}, firstSweep
}

// hash returns the mark of something. The parts are of fixed number for each kind, and none has a zero byte.
func (m *marks) hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(m.seed)
	for _, part := range parts {
		_, _ = h.WriteString(part) // never fails
		_ = h.WriteByte(0)
	}
	return h.Sum64()
}

// cover reports whether a verdict has ended.
func (m *marks) cover(v *verdict) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	if v.seq < m.floor {
		return true
	}
	for _, on := range v.marks {
		if known, ok := m.marks[on]; ok && known.seq > v.seq && known.concerns(v) {
			return true
		}
	}
	return false
}

// concerns reports whether the tokens that ended are as old as that of a verdict.
func (k *mark) concerns(v *verdict) bool { return !v.dated || v.issuedAt < k.before }

// near returns the instant at which the token of a new verdict is known to end. recent says that the verdict must not be kept for long: its
// token is going to end, or something of its name has ended so lately that the server may not have known.
func (m *marks) near(v *verdict, now int64) (end int64, recent bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	end = math.MaxInt64
	for _, on := range v.marks {
		known, ok := m.marks[on]
		switch {
		case !ok || !known.concerns(v):
		case known.endsAt != 0:
			end, recent = min(end, known.endsAt), true
		case now-known.at < lag:
			recent = true
		}
	}
	return end, recent || v.seq < m.floor
}

// everything ends all verdicts of reviews that have begun by now.
func (m *marks) everything() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.floor = m.seq.Load() + 1
	m.seq.Store(m.floor)
}

// add takes in that something has ended, or ends at an instant that is not 0. now is the present instant.
func (m *marks) add(on uint64, before, endsAt, now int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	next := mark{seq: m.seq.Load() + 1, at: now, before: before, endsAt: endsAt}
	if known, ok := m.marks[on]; ok {
		next.before = max(next.before, known.before)
	}
	if len(m.marks) >= m.sweep {
		m.drop(now)
	}
	m.marks[on] = next
	m.seq.Store(next.seq)
}

// drop drops the marks that no verdict needs. The lock is held.
func (m *marks) drop(now int64) {
	for on, known := range m.marks {
		if now-max(known.at, known.endsAt) > m.keep+lag {
			delete(m.marks, on)
		}
	}
	if len(m.marks) >= maxMarks {
		clear(m.marks)
		m.floor = m.seq.Load() + 1
		m.seq.Store(m.floor)
	}
	m.sweep = max(firstSweep, min(2*len(m.marks), maxMarks))
}

// take takes in an event of the feed. at turns a time into an instant.
func (m *marks) take(e *v1alpha1.TokenReviewEvent, now int64, at func(time.Time) int64) {
	switch o, r := e.Object, e.Revocation; {
	case o != nil:
		m.object(o, now, at)
	case r != nil:
		m.revocation(r, now)
	case e.Issuer != "":
		m.add(m.hash(markIssuer, e.Issuer), math.MaxInt64, 0, now)
	default:
		m.everything()
	}
}

func (m *marks) object(o *v1alpha1.EndedObject, now int64, at func(time.Time) int64) {
	endsAt := int64(0)
	if o.EndsAt != nil {
		endsAt = max(1, at(o.EndsAt.Time))
	}
	switch o.Resource {
	case "serviceaccounts", "pods", "secrets", "nodes":
		m.add(m.hash(o.Resource, o.Namespace, o.Name), math.MaxInt64, endsAt, now)
	case "oauthaccesstokens", "users", "groups", "oauthclients":
		m.add(m.hash(markOpaque), math.MaxInt64, 0, now)
	default:
		m.everything()
	}
}

func (m *marks) revocation(r *v1alpha1.TokenRevocationSpec, now int64) {
	before := int64(math.MaxInt64)
	if r.IssuedBefore != nil {
		before = r.IssuedBefore.Unix()
	}
	switch {
	case r.CredentialID != "":
		m.add(m.hash(markID, r.CredentialID), before, 0, now)
	case r.TokenHash != "":
		m.add(m.hash(markNameless), before, 0, now)
	case r.ServiceAccount != nil:
		m.add(m.hash("serviceaccounts", r.ServiceAccount.Namespace, r.ServiceAccount.Name), before, 0, now)
	case r.Subject != nil:
		m.add(m.hash(markSubject, r.Subject.Subject), before, 0, now)
	case r.KeyID != "":
		m.add(m.hash(markKey, r.KeyID), before, 0, now)
	case r.IssuedBefore != nil:
		m.add(m.hash(markAll), before, 0, now)
	default:
		m.everything()
	}
}
