package feed

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/view"
)

// at is a source that has reached a version.
type at struct{ atomic.Uint64 }

func (a *at) Reached() uint64 { return a.Load() }

// newTestFeed returns a feed whose source has reached a version, and which keeps so many bytes.
func newTestFeed(reached uint64, bytes int) *Feed {
	f := New(Config{Views: view.NewSet(nil, 0), Issuers: []string{"https://tokens.example"}, Configuration: func() string { return "c" }, Now: time.Now})
	source := &at{}
	source.Store(reached)
	f.sources, f.bytes = append(f.sources, source), bytes
	return f
}

func pod(name string) []*v1alpha1.TokenReviewEvent {
	return ended("pods", view.Key{Namespace: "ns", Name: name}, "")
}

// names receives events and returns the names in them, until there are none.
func names(w watch.Interface) (got []string) {
	for {
		synctest.Wait()
		select {
		case event, ok := <-w.ResultChan():
			switch e := event.Object.(type) {
			case *v1alpha1.TokenReviewEvent:
				got = append(got, e.Object.Name)
			case *metav1.Status:
				got = append(got, fmt.Sprint(e.Code))
			}
			if !ok {
				return append(got, "closed")
			}
		default:
			return got
		}
	}
}

// TestResume has watches go on from versions: those that are kept, those that are not, and that of a replica that is ahead.
func TestResume(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(20, 3*sizeOf(pod("p10")[0]))
		f.listed(0, 5)
		for _, version := range []uint64{10, 12, 11, 20} {
			f.add(version, pod(fmt.Sprint("p", version)))
		}
		for from, want := range map[string]string{
			"10": "p12 p11 p20", // p10 is the one that is not kept
			"11": "p12 p20",
			"20": "",
			"":   "",
			"0":  "",
			"9":  "410",
			"25": "410", // no replica has reached that version
			"x":  "400",
		} {
			w, err := f.Watch(t.Context(), from, false)
			if err != nil {
				if got := fmt.Sprint(err.(apierrors.APIStatus).Status().Code); got != want {
					t.Errorf("from %q: %v, want %s", from, err, want)
				}
				continue
			}
			if got := strings.Join(names(w), " "); got != want {
				t.Errorf("from %q: %q, want %q", from, got, want)
			}
			f.add(0, nil) // nothing: it must not wake anybody for ever
			w.Stop()
			if got := strings.Join(names(w), " "); got != "closed" {
				t.Errorf("after Stop: %q", got)
			}
		}
	})
}

// TestCut ends a watch between two events that came at a time. The next watch goes on from the version that the first one of them named,
// and has the second.
func TestCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(10, keptBytes)
		source := f.sources[0].(*at)
		for from, want := range map[string]string{"10": "p20 p21", "": "p20 p21"} {
			source.Store(10)
			w, err := f.Watch(t.Context(), from, false)
			if err != nil {
				t.Fatal(err)
			}
			source.Store(21)
			f.add(20, pod("p20"))
			f.add(21, pod("p21"))
			version := (<-w.ResultChan()).Object.(*v1alpha1.TokenReviewEvent).ResourceVersion
			w.Stop()
			names(w)
			if w, err = f.Watch(t.Context(), version, false); err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(names(w), " "); got != want {
				t.Errorf("from %q, then from %s: %q, want %q", from, version, got, want)
			}
			w.Stop()
			names(w)
			f.forget()
		}
	})
}

// TestSlowWatch has a client read nothing while events come that can't all be kept. It is cut off; a client that reads is not.
func TestSlowWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(1, 3*sizeOf(pod("p10")[0]))
		slow, err := f.Watch(t.Context(), "", false)
		if err != nil {
			t.Fatal(err)
		}
		quick, err := f.Watch(t.Context(), "", false)
		if err != nil {
			t.Fatal(err)
		}
		for i := range 20 {
			f.add(uint64(10+i), pod(fmt.Sprint("p", 10+i)))
			if got := names(quick); len(got) != 1 {
				t.Fatalf("the quick client got %v", got)
			}
		}
		got := names(slow)
		if len(got) < 2 || got[len(got)-2] != "410" || got[len(got)-1] != "closed" {
			t.Errorf("the slow client got %v", got)
		}
		if len(f.events) > 3 {
			t.Errorf("%d events are kept", len(f.events))
		}
		quick.Stop()
		names(quick)
	})
}

// TestForgotten puts another store under the feed: what a client was told has no meaning any more.
func TestForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(10, keptBytes)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		w, err := f.Watch(ctx, "10", false)
		if err != nil {
			t.Fatal(err)
		}
		f.forget()
		if got := strings.Join(names(w), " "); got != "410 closed" {
			t.Errorf("got %q", got)
		}
		f.listed(0, 30)
		if _, err := f.Watch(ctx, "10", false); !apierrors.IsResourceExpired(err) {
			t.Errorf("going on from before: %v", err)
		}
	})
}

// TestEnding tells a client that begins of the objects that are going to end, and not of those that have ended.
func TestEnding(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newTestFeed(10, keptBytes)
		for _, name := range []string{"gone", "leaving"} {
			ending := pod(name)
			at := metav1.Now()
			ending[0].Object.EndsAt = &at
			f.add(11, ending)
		}
		f.add(12, pod("gone"))
		w, err := f.Watch(t.Context(), "", false)
		if err != nil {
			t.Fatal(err)
		}
		if got := strings.Join(names(w), " "); got != "leaving" {
			t.Errorf("got %q", got)
		}
		w.Stop()
		names(w)
	})
}
