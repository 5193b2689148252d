// Package feed provides the TokenReviewEvents of mintmark.io: which verdicts of TokenReviews have ended, for clients that
// cache verdicts.
//
// The views are its sources (internal/view): they tell of every write, whichever replica it was made through. Events are kept
// for a while, in bounded memory, so that a watch can go on where it ended. A watch reads from what is kept; one that is too
// slow is ended, and nothing is queued for it.
//
// About once a second all views are proved current. A watch then sends a bookmark: all that had ended by the instant of the
// proof has been sent before it. While the store does not prove the views, there are no bookmarks.
package feed

import (
	"math"
	"strconv"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/view"
)

// Config is what a feed needs of the rest of the server.
type Config struct {
	// Views are all views by which reviews are decided.
	Views *view.Set
	// Issuers are those of which every end is told: nothing but a claim exp ends their tokens without an event.
	Issuers []string
	// Configuration returns a text that is another one when keys or configuration that are not stored have changed.
	Configuration func() string
	Now           func() time.Time
}

// Feed keeps the latest events. It is safe for concurrent use.
type Feed struct {
	Config
	sources []interface{ Reached() uint64 }
	bytes   int // how much events are kept; a test has less

	mu     sync.Mutex
	events []event
	first  uint64 // the number of events[0]
	size   int    // of the events, in bytes
	since  uint64 // events of later versions are all there, but for those that the views have yet to bring
	ending map[name]*v1alpha1.EndedObject
	epoch  int           // counts how often everything was forgotten
	news   chan struct{} // closed at the next event
}

// event is an event as it is kept. The object is shared by all watches.
type event struct {
	version uint64
	object  *v1alpha1.TokenReviewEvent
}

// name names an object.
type name struct{ resource, namespace, name string }

// keptBytes bounds the events that are kept: some thirty thousand.
const keptBytes = 8 << 20

// New returns a feed without sources.
func New(cfg Config) *Feed {
	registered()
	return &Feed{Config: cfg, bytes: keptBytes, ending: map[name]*v1alpha1.EndedObject{}, news: make(chan struct{})}
}

// Follow makes a view a source. tell returns the events of a change; it is called while the view is locked.
func Follow[T any](f *Feed, v *view.View[T], tell func(view.Change[T]) []*v1alpha1.TokenReviewEvent) {
	f.sources = append(f.sources, v)
	v.Observe(func(c view.Change[T]) {
		switch {
		case c.Forgotten:
			f.forget()
		case c.Listed:
			f.listed(c.Reached, c.Version)
		default:
			f.add(c.Version, tell(c))
		}
	})
}

// listed takes in that all objects of a view were read. Unless it is the first time, objects may have come and gone unseen.
func (f *Feed) listed(reached, version uint64) {
	switch {
	case reached == 0:
		f.mu.Lock()
		f.since = max(f.since, version)
		f.mu.Unlock()
	case version > reached:
		f.add(version, []*v1alpha1.TokenReviewEvent{{Everything: true}})
	}
}

// forget takes in that the store is another one: nothing that was sent has a meaning any more.
func (f *Feed) forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.first += uint64(len(f.events))
	f.events, f.size, f.since = nil, 0, 0
	f.epoch++
	clear(f.ending)
	f.announce()
}

// add takes in events.
func (f *Feed) add(version uint64, events []*v1alpha1.TokenReviewEvent) {
	if len(events) == 0 {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, e := range events {
		f.note(e.Object)
		f.events = append(f.events, event{version, e})
		f.size += sizeOf(e)
	}
	registered().Events.Add(float64(len(events)))
	for f.size > f.bytes {
		f.size -= sizeOf(f.events[0].object)
		f.since = max(f.since, f.events[0].version)
		f.events[0] = event{}
		f.events = f.events[1:]
		f.first++
	}
	f.announce()
}

// note keeps which objects are going to end. The lock is held.
func (f *Feed) note(object *v1alpha1.EndedObject) {
	if object == nil {
		return
	}
	key := name{object.Resource, object.Namespace, object.Name}
	if object.EndsAt == nil {
		delete(f.ending, key)
		return
	}
	f.ending[key] = object
}

// announce wakes the watches. The lock is held.
func (f *Feed) announce() {
	close(f.news)
	f.news = make(chan struct{})
}

// reached returns the version up to which all sources have told everything. Their events are kept by then.
func (f *Feed) reached() uint64 {
	reached := uint64(math.MaxUint64)
	for _, s := range f.sources {
		reached = min(reached, s.Reached())
	}
	return reached
}

// Ending returns the events of the objects that are going to end, and the version to watch from.
func (f *Feed) Ending() ([]v1alpha1.TokenReviewEvent, string) {
	version := strconv.FormatUint(f.reached(), 10)
	f.mu.Lock()
	defer f.mu.Unlock()
	events := make([]v1alpha1.TokenReviewEvent, 0, len(f.ending))
	for _, object := range f.ending {
		events = append(events, v1alpha1.TokenReviewEvent{ObjectMeta: metav1.ObjectMeta{ResourceVersion: version}, Object: object})
	}
	return events, version
}

// sizeOf is about how many bytes an event takes.
func sizeOf(e *v1alpha1.TokenReviewEvent) int {
	const overhead = 512
	size := overhead + len(e.Issuer)
	if o := e.Object; o != nil {
		size += len(o.Namespace) + len(o.Name) + len(o.UID)
	}
	if r := e.Revocation; r != nil {
		size += len(r.CredentialID) + len(r.Issuer) + len(r.TokenHash) + len(r.KeyID)
		if a := r.ServiceAccount; a != nil {
			size += len(a.Namespace) + len(a.Name)
		}
		if s := r.Subject; s != nil {
			size += len(s.Issuer) + len(s.Subject)
		}
	}
	return size
}
