package feed

import (
	"context"
	"errors"
	"strconv"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// catchUp is how long a watch waits for this process to reach the version that it goes on from, which another replica told.
	catchUp = 3 * time.Second
	// freshProof is how old a proof may be that a bookmark tells.
	freshProof = 2 * time.Second
	// most is how many events are taken at a time.
	most = 128
)

// tooOld says that a watch can't go on from a version.
const tooOld = "the events since this resource version are not kept any more: drop all verdicts and watch without a resource version"

// watching is a watch of a client.
type watching struct {
	feed   *Feed
	result chan watch.Event
	ctx    context.Context
	stop   context.CancelFunc

	from  uint64 // the version that it goes on from, 0 for one that begins now
	known uint64 // events of a smaller number were there when it began
	next  uint64 // the number of the next event to look at
	epoch int
	// position is the version up to which everything has been sent.
	position uint64
	// proof and configuration are those of the last bookmark.
	proof         view.Stamp
	configuration string
	told          bool // the issuers
	initial       bool // the first bookmark says that all of the beginning has been sent
}

// Watch returns a watch that goes on from a resource version of this feed or another replica's. An empty version, or 0, is now: the
// watch then begins with the objects that are going to end, as it does for any version if initial
// is set, and the first bookmark then says where that ends. The error is an API error: Expired if events may be missing.
func (f *Feed) Watch(ctx context.Context, resourceVersion string, initial bool) (watch.Interface, error) {
	from, err := parse(resourceVersion)
	if err != nil {
		return nil, err
	}
	if err := f.await(ctx, from); err != nil {
		return nil, err
	}
	if initial {
		from = 0
	}
	w := &watching{feed: f, result: make(chan watch.Event), from: from, initial: initial, position: from}
	if from == 0 {
		w.position = f.reached() // read before what is kept, which covers it
	}
	f.mu.Lock()
	w.epoch, w.known, w.next = f.epoch, f.first+uint64(len(f.events)), f.first
	gone := from != 0 && from < f.since
	f.mu.Unlock()
	if gone {
		registered().Refused.Inc()
		return nil, apierrors.NewResourceExpired(tooOld)
	}
	var ending []v1alpha1.TokenReviewEvent
	if from == 0 {
		w.next = w.known
		ending, _ = f.Ending()
	}
	w.ctx, w.stop = context.WithCancel(ctx)
	go w.run(ending)
	return w, nil
}

func parse(resourceVersion string) (uint64, error) {
	if resourceVersion == "" {
		return 0, nil
	}
	from, err := strconv.ParseUint(resourceVersion, 10, 64)
	if err != nil {
		return 0, apierrors.NewBadRequest("resourceVersion must be one that an event, a bookmark or a list of this resource has")
	}
	return from, nil
}

// await waits until this process has reached a version. One that it does not reach was never told by a replica over this store.
func (f *Feed) await(ctx context.Context, from uint64) error {
	if f.reached() >= from {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, catchUp)
	defer cancel()
	for {
		proved := f.Views.NextProof()
		if f.reached() >= from {
			return nil
		}
		select {
		case <-proved:
		case <-ctx.Done():
			if errors.Is(context.Cause(ctx), context.DeadlineExceeded) {
				registered().Refused.Inc()
				return apierrors.NewResourceExpired(tooOld)
			}
			return ctx.Err()
		}
	}
}

// ResultChan is closed when there are no more events.
func (w *watching) ResultChan() <-chan watch.Event { return w.result }

// Stop ends the watch, also while an event waits to be received.
func (w *watching) Stop() { w.stop() }

func (w *watching) run(ending []v1alpha1.TokenReviewEvent) {
	registered().Watches.Inc()
	defer registered().Watches.Dec()
	defer close(w.result)
	defer w.stop()
	defer func() {
		if value := recover(); value != nil {
			crash.Recovered(value).Log(context.Background(), "A watch of what ended panicked and ended")
		}
	}()
	for i := range ending {
		ending[i].ResourceVersion = strconv.FormatUint(w.position, 10)
		if !w.send(watch.Added, &ending[i]) {
			return
		}
	}
	for w.step() {
	}
}

// step sends what there is to be sent and waits for more. The version and the proof are read before the events are: events that they
// cover are kept by then. Only the bookmark behind the events has that version. A watch that ends between two of them goes on before both.
func (w *watching) step() bool {
	proved := w.feed.Views.NextProof()
	version := max(w.from, w.feed.reached())
	proof := w.feed.Views.Stamp()
	configuration := w.feed.Configuration()
	events, more, news, ok := w.take()
	if !ok {
		registered().CutOff.Inc()
		w.send(watch.Error, &apierrors.NewResourceExpired(tooOld).ErrStatus)
		return false
	}
	for _, e := range events {
		told := *e
		told.ResourceVersion = strconv.FormatUint(w.position, 10)
		if !w.send(watch.Added, &told) {
			return false
		}
	}
	if more {
		return true
	}
	w.position = version
	if (proof != w.proof || configuration != w.configuration) && !w.bookmark(proof, configuration) {
		return false
	}
	select {
	case <-news:
	case <-proved:
	case <-w.ctx.Done():
		return false
	}
	return true
}

// take returns the next events, as many as are taken at a time, and a channel that is closed when there are further ones. It
// reports false if events that the client has not seen are not kept any more.
func (w *watching) take() (events []*v1alpha1.TokenReviewEvent, more bool, news <-chan struct{}, ok bool) {
	f := w.feed
	f.mu.Lock()
	defer f.mu.Unlock()
	if w.epoch != f.epoch || w.next < f.first {
		return nil, false, nil, false
	}
	for _, e := range f.events[w.next-f.first:] {
		if len(events) == most {
			break
		}
		if w.next >= w.known || e.version > w.from {
			events = append(events, e.object)
		}
		w.next++
	}
	return events, w.next < f.first+uint64(len(f.events)), f.news, true
}

// bookmark sends a proof, unless it is old.
func (w *watching) bookmark(proof view.Stamp, configuration string) bool {
	age, ok := w.feed.Views.Age(proof)
	if !ok || age > freshProof {
		return true
	}
	told := &v1alpha1.TokenReviewEvent{
		ObjectMeta: metav1.ObjectMeta{ResourceVersion: strconv.FormatUint(w.position, 10)},
		Proof:      &v1alpha1.TokenReviewProof{Time: metav1.NewMicroTime(w.feed.Now().Add(-age)), Configuration: configuration},
	}
	if !w.told {
		told.Proof.Issuers = w.feed.Issuers
		if w.initial {
			told.Annotations = map[string]string{metav1.InitialEventsAnnotationKey: "true"}
		}
	}
	w.proof, w.configuration, w.told = proof, configuration, true
	return w.send(watch.Bookmark, told)
}

// send reports whether an event was received.
func (w *watching) send(kind watch.EventType, object runtime.Object) bool {
	select {
	case w.result <- watch.Event{Type: kind, Object: object}:
		return true
	case <-w.ctx.Done():
		return false
	}
}
