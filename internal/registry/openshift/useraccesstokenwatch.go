package openshift

import (
	"context"
	"sync"

	oauthv1 "github.com/openshift/api/oauth/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/mintmark/mintmark/internal/crash"
)

// ownEvents passes on the events of a watch that are about a user's tokens or about the watch itself: bookmarks, which tell
// a client the version that it has reached, and errors.
type ownEvents struct {
	events watch.Interface
	user   string
	result chan watch.Event
	done   chan struct{}
	stop   func()
}

func watchOwn(events watch.Interface, user string) watch.Interface {
	w := &ownEvents{events: events, user: user, result: make(chan watch.Event), done: make(chan struct{})}
	w.stop = sync.OnceFunc(func() {
		close(w.done)
		events.Stop()
	})
	go w.run()
	return w
}

// ResultChan is closed when there are no more events.
func (w *ownEvents) ResultChan() <-chan watch.Event { return w.result }

// Stop ends the watch, also while an event waits to be received.
func (w *ownEvents) Stop() { w.stop() }

func (w *ownEvents) run() {
	defer close(w.result)
	defer w.stop()
	defer func() {
		if value := recover(); value != nil {
			crash.Recovered(value).Log(context.Background(), "A watch of a user's tokens panicked and ended")
		}
	}()
	for event := range w.events.ResultChan() {
		own, ok := w.own(event)
		if !ok {
			continue
		}
		select {
		case w.result <- own:
		case <-w.done:
			return
		}
	}
}

// own returns an event as the user sees it. It is false for an event that the user must not see.
func (w *ownEvents) own(event watch.Event) (watch.Event, bool) {
	if event.Type == watch.Error {
		return event, true
	}
	token, ok := event.Object.(*oauthv1.OAuthAccessToken)
	if !ok || event.Type != watch.Bookmark && !owns(w.user, token) {
		return watch.Event{}, false
	}
	return watch.Event{Type: event.Type, Object: (*oauthv1.UserOAuthAccessToken)(token)}, true
}
