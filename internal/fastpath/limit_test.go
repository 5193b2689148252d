package fastpath_test

import (
	"context"
	"strings"
	"testing"
	"time"
)

// shapes are headers that send the same request over one transport or the other of one server.
var shapes = map[string]string{"fast": "User-Agent: client", "generic": "User-Agent: curl/8"}

// TestLimit has one request take the only place, over either transport: over neither is there a place for another, but
// for one of somebody who may do everything.
func TestLimit(t *testing.T) {
	t.Parallel()
	hook := newWebhook(t)
	s := start(t, []string{"all-token,all,all-uid,reviewers", "admin-token,admin,admin-uid,system:masters", "none-token,none,none-uid"},
		hook.flag, "--max-mutating-requests-inflight=1")
	all, admin, none := as(t, s.fast, "all-token"), as(t, s.fast, "admin-token"), as(t, s.fast, "none-token")
	for first, header := range shapes {
		done := make(chan *answer, 1)
		go func() {
			got, err := all.post(context.WithoutCancel(t.Context()), reviewsPath, reviewOf("blocked-"+first), header)
			if err != nil {
				t.Error(err)
			}
			done <- got
		}()
		<-hook.asked
		for second, header := range shapes {
			for path, body := range map[string]string{reviewsPath: reviewOf(s.token), requestPath: tokenBody} {
				got := all.mustPost(t, 429, path, body, header)
				if got.header.Get("Retry-After") != "1" || got.body != "Too many requests, please try again later.\n" {
					t.Errorf("%s behind %s: %v %q", second, first, got.header, got.body)
				}
				admin.mustPost(t, 201, path, body, header)
				// Who may not do it needs no place to be told so.
				none.mustPost(t, 403, path, body, header)
			}
		}
		hook.release <- struct{}{}
		if got := <-done; got == nil || got.status != 201 {
			t.Errorf("%s: the first request: %v", first, got)
		}
		for _, header := range shapes {
			all.mustPost(t, 201, reviewsPath, reviewOf(s.token), header)
		}
	}
}

// TestTimeout has a webhook that doesn't answer, and a client that doesn't send all of its request. Either gets the answer
// of the library's chain when the time is up, and leaves its place to others.
func TestTimeout(t *testing.T) {
	t.Parallel()
	const want = `"message":"Timeout: request did not complete within the allotted timeout","reason":"Timeout","details":{},"code":504}`
	hook := newWebhook(t)
	s := start(t, []string{"all-token,all,all-uid,reviewers"}, hook.flag, "--request-timeout=3s", "--max-mutating-requests-inflight=1")
	c := as(t, s.fast, "all-token")
	for query, limit := range map[string]time.Duration{"": 3 * time.Second, "?timeout=1s": time.Second} {
		c.untilFree(t, s.token)
		began := time.Now()
		got, err := c.post(t.Context(), reviewsPath+query, reviewOf("blocked-"+limit.String()))
		if err != nil && strings.Contains(err.Error(), "INTERNAL_ERROR") {
			// Two in the library's chain answer when the time is up. If they do so at once, it breaks off the request.
			t.Logf("%q: %v", query, err)
			continue
		}
		if err != nil || got.status != 504 {
			t.Fatalf("%q: %v, %v", query, got, err)
		}
		if took := time.Since(began); took < limit || took > limit+10*time.Second {
			t.Errorf("%q: answered after %v", query, took)
		}
		if !strings.Contains(got.body, want) {
			t.Errorf("%q: %s", query, got.body)
		}
	}
	c.untilFree(t, s.token)
	// The library alone would wait for the rest: net/http doesn't answer while somebody reads.
	if got := halfARequest(t, s.fast, "all-token"); got.status != 504 || !strings.Contains(got.body, want) {
		t.Errorf("status %d for half a request: %s", got.status, got.body)
	}
	c.untilFree(t, s.token)
}

// untilFree waits until there is a place for a request. The library answers one whose time is up before it has ended it.
func (c caller) untilFree(t *testing.T, token string) {
	t.Helper()
	for began := time.Now(); ; {
		got, err := c.post(t.Context(), reviewsPath, reviewOf(token))
		switch {
		case err != nil || got.status != 429 || time.Since(began) > 10*time.Second:
			if err != nil || got.status != 201 {
				t.Fatalf("no place: %v, %v", got, err)
			}
			return
		}
	}
}
