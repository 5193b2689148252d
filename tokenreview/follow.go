package tokenreview

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

const (
	eventsPath = "/apis/mintmark.io/v1alpha1/tokenreviewevents"
	// A server that has no feed for this client is asked again after a second, and then with growing pauses: the right to watch may
	// have been given a moment ago.
	firstAbsence, longestAbsence = time.Second, time.Minute
	// maxEvent bounds an event.
	maxEvent = 1 << 20
)

// follower watches the feed.
type follower struct {
	client *Client
	// version is where the watch goes on, empty if it begins now.
	version string
	// configuration is that of the last bookmark, empty before the first one.
	configuration string
	whole         bool // the log says so
}

var (
	errExpired = errors.New("events may have been missed")
	errAbsent  = errors.New("the server has no feed for this client")
	errLate    = errors.New("the server's clock was set back, or what it sends is late")
)

// run watches until the context ends.
func (f *follower) run(ctx context.Context) {
	pause, absence := firstPause, firstAbsence
	for ctx.Err() == nil {
		proved, err := f.watch(ctx)
		if ctx.Err() != nil {
			return
		}
		wait := time.Duration(0)
		switch {
		case errors.Is(err, errExpired):
			f.version = ""
			f.client.ended.everything()
			f.client.stats.lost.Add(1)
		case errors.Is(err, errAbsent):
			f.client.fresh.Store(0)
			wait = absence
			absence = min(2*absence, longestAbsence)
		case proved:
			pause, absence = firstPause, firstAbsence
		}
		if wait == 0 {
			wait = pause
			pause = min(2*pause, longestPause)
		}
		f.log(false, err)
		timer := time.NewTimer(wait/2 + rand.N(wait+1)) //nolint:gosec // nobody gains from guessing it
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
		}
	}
}

// log tells when the feed comes and goes.
func (f *follower) log(whole bool, err error) {
	if f.whole == whole {
		if err != nil {
			f.client.cfg.Log.Debug("There is no feed of ended tokens", "reason", err)
		}
		return
	}
	f.whole = whole
	if whole {
		f.client.cfg.Log.Info("The feed of ended tokens is there: verdicts are cached for long", "ttl", f.client.cfg.LongTTL)
		return
	}
	f.client.cfg.Log.Info("The feed of ended tokens has ended; it is begun anew", "reason", err)
}

// watch follows the feed until it ends or is silent for too long. It reports whether a proof came.
func (f *follower) watch(ctx context.Context) (proved bool, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	silence := f.client.cfg.MaxSilence
	watchdog := time.AfterFunc(silence, func() { cancel(fmt.Errorf("nothing came for %s", silence)) })
	defer watchdog.Stop()
	query := url.Values{"watch": {"true"}, "allowWatchBookmarks": {"true"}}
	if f.version != "" {
		query.Set("resourceVersion", f.version)
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, f.client.server.path(eventsPath)+"?"+query.Encode(), nil)
	if err != nil {
		return false, err
	}
	request.Header.Set("Accept", "application/json")
	response, err := f.client.server.http.Do(request)
	if err != nil {
		return false, err
	}
	defer func() { _ = response.Body.Close() }()
	switch response.StatusCode {
	case http.StatusOK:
	case http.StatusGone:
		return false, errExpired
	case http.StatusNotFound, http.StatusForbidden, http.StatusMethodNotAllowed, http.StatusBadRequest:
		return false, fmt.Errorf("%w: %w", errAbsent, newStatusError(response))
	default:
		return false, newStatusError(response)
	}
	if f.version == "" {
		// Nobody tells what ended before.
		f.client.ended.everything()
	}
	r := &reading{follower: f, least: time.Duration(1<<63 - 1)}
	lines := bufio.NewScanner(response.Body)
	lines.Buffer(nil, maxEvent)
	for lines.Scan() {
		bookmark, err := r.event(lines.Bytes())
		if err != nil {
			return r.proved, err
		}
		if bookmark {
			watchdog.Reset(silence)
		}
	}
	if cause := context.Cause(ctx); cause != nil {
		return r.proved, cause
	}
	return r.proved, errors.Join(errors.New("the server ended the watch"), lines.Err())
}

// reading is what is known of one connection.
type reading struct {
	*follower
	// least is the least difference between this clock when a proof came and the server's clock in it. The more a proof is above
	// that, the longer it was on its way.
	least  time.Duration
	proved bool
}

// event takes in a line of the watch.
func (r *reading) event(line []byte) (bookmark bool, err error) {
	var told struct {
		Type   watch.EventType `json:"type"`
		Object json.RawMessage `json:"object"`
	}
	if err := json.Unmarshal(line, &told); err != nil {
		return false, fmt.Errorf("a line of the watch is no event: %w", err)
	}
	if told.Type == watch.Error {
		var status metav1.Status
		if json.Unmarshal(told.Object, &status) == nil && status.Code == http.StatusGone {
			return false, errExpired
		}
		return false, fmt.Errorf("the server ended the watch with an error (%d)", status.Code)
	}
	var e v1alpha1.TokenReviewEvent
	if err := json.Unmarshal(told.Object, &e); err != nil {
		return false, fmt.Errorf("an event can't be read: %w", err)
	}
	c := r.client
	if told.Type == watch.Bookmark {
		if e.Proof != nil {
			if err := r.prove(e.Proof); err != nil {
				return false, err
			}
		}
	} else {
		c.stats.events.Add(1)
		c.ended.take(&e, c.now(), c.instant)
	}
	// An event may be one of several, of which the others have not come.
	if told.Type == watch.Bookmark && e.ResourceVersion != "" {
		r.version = e.ResourceVersion
	}
	return e.Proof != nil, nil
}

// prove takes in that everything has been told that had ended by the time of a proof.
func (r *reading) prove(proof *v1alpha1.TokenReviewProof) error {
	c := r.client
	if proof.Configuration != r.configuration {
		if r.configuration != "" {
			c.ended.everything()
		}
		r.configuration = proof.Configuration
	}
	if proof.Issuers != nil {
		issuers := make(map[string]struct{}, len(proof.Issuers))
		for _, issuer := range proof.Issuers {
			issuers[issuer] = struct{}{}
		}
		c.issuers.Store(&issuers)
	}
	// A clock that nothing sets: c.now counts from the start.
	now := c.now()
	difference := c.start.Round(0).Add(time.Duration(now)).Sub(proof.Time.Time)
	r.least = min(r.least, difference)
	late := difference - r.least
	if late > c.cfg.MaxSilence {
		return errLate
	}
	c.fresh.Store(now - int64(late) + int64(c.cfg.MaxSilence))
	r.proved = true
	r.log(true, nil)
	return nil
}
