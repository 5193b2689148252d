package tokenreview_test

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/tokenreview"
)

// following is a client of a fake with a feed that is whole.
type following struct {
	*fake
	feed   *watched
	client *tokenreview.Client
	clock  *hours
	token  string
}

func newFollowing(t *testing.T, cfg tokenreview.Config) *following {
	t.Helper()
	f, clock := newFake(t), &hours{}
	x := &following{fake: f, feed: newWatched(f), clock: clock}
	cfg.Now = clock.now
	x.client = f.client(cfg)
	eventually(t, "the feed is whole", func() bool { return x.client.Stats().FeedWhole })
	x.token = jwt(map[string]any{
		"iss": fakeIssuer, "sub": "system:serviceaccount:shop:app", "jti": "id-1", "iat": 1000, "exp": time.Now().Add(time.Hour).Unix(),
		"kubernetes.io": map[string]any{"secret": map[string]any{"name": "app-secret"}},
	})
	f.allow(x.token, account("app"))
	return x
}

// asks reports whether a question about the token makes a review.
func (x *following) asks() bool {
	x.t.Helper()
	before := x.count()
	if who, err := ask(x.t, x.client, x.token); who == "" {
		x.t.Fatal(err)
	}
	return x.count() > before
}

// passes lets time pass, and the feed prove that it is whole.
func (x *following) passes(d time.Duration) {
	x.clock.pass(d)
	eventually(x.t, "the feed is whole again", func() bool { return x.client.Stats().FeedWhole })
}

// TestWhole caches verdicts for long while the feed is whole, and not those that may end without an event.
func TestWhole(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{})
	if !x.asks() || x.asks() {
		t.Error("the first question, and no other one, makes a review")
	}
	x.passes(4 * time.Minute)
	if x.asks() {
		t.Error("asked again after four minutes")
	}
	x.passes(2 * time.Minute)
	if !x.asks() {
		t.Error("not asked again after six minutes")
	}
	for _, token := range []string{"opaque", jwt(map[string]any{"iss": "https://other.example", "exp": time.Now().Add(time.Hour).Unix()})} {
		x.token = token
		x.allow(token, account("app"))
		if !x.asks() || x.asks() {
			t.Error("the first question, and no other one, makes a review")
		}
		x.passes(tokenreview.DefaultShortTTL)
		if !x.asks() {
			t.Errorf("%s is cached for long", token)
		}
	}
}

// TestEvents sends events of each kind. Those that concern the token have it reviewed again, at once; others don't.
func TestEvents(t *testing.T) {
	t.Parallel()
	object := func(resource, name string) v1alpha1.TokenReviewEvent {
		return v1alpha1.TokenReviewEvent{Object: &v1alpha1.EndedObject{Resource: resource, Namespace: "shop", Name: name}}
	}
	revoked := func(spec v1alpha1.TokenRevocationSpec) v1alpha1.TokenReviewEvent {
		return v1alpha1.TokenReviewEvent{Revocation: &spec}
	}
	at := func(seconds int64) *metav1.Time { t := metav1.Unix(seconds, 0); return &t }
	for name, test := range map[string]struct {
		event v1alpha1.TokenReviewEvent
		ends  bool
	}{
		"account":               {object("serviceaccounts", "app"), true},
		"other account":         {object("serviceaccounts", "other"), false},
		"pod":                   {object("pods", "app-0"), true},
		"other pod":             {object("pods", "app-1"), false},
		"secret":                {object("secrets", "app-secret"), true},
		"other resource":        {object("widgets", "app"), true},
		"access token":          {object("oauthaccesstokens", "x"), false},
		"credential id":         {revoked(v1alpha1.TokenRevocationSpec{CredentialID: "id-1"}), true},
		"other id":              {revoked(v1alpha1.TokenRevocationSpec{CredentialID: "id-2"}), false},
		"hash":                  {revoked(v1alpha1.TokenRevocationSpec{TokenHash: "00"}), false},
		"account, before":       {revoked(v1alpha1.TokenRevocationSpec{ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "shop", Name: "app"}, IssuedBefore: at(1001)}), true},
		"account, long before":  {revoked(v1alpha1.TokenRevocationSpec{ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "shop", Name: "app"}, IssuedBefore: at(1000)}), false},
		"subject":               {revoked(v1alpha1.TokenRevocationSpec{Subject: &v1alpha1.SubjectReference{Issuer: fakeIssuer, Subject: "system:serviceaccount:shop:app"}, IssuedBefore: at(2000)}), true},
		"key":                   {revoked(v1alpha1.TokenRevocationSpec{KeyID: "k", IssuedBefore: at(2000)}), true},
		"other key":             {revoked(v1alpha1.TokenRevocationSpec{KeyID: "l", IssuedBefore: at(2000)}), false},
		"all, before":           {revoked(v1alpha1.TokenRevocationSpec{IssuedBefore: at(2000)}), true},
		"all, long before":      {revoked(v1alpha1.TokenRevocationSpec{IssuedBefore: at(20)}), false},
		"issuer":                {v1alpha1.TokenReviewEvent{Issuer: fakeIssuer}, true},
		"other issuer":          {v1alpha1.TokenReviewEvent{Issuer: "https://other.example"}, false},
		"everything":            {v1alpha1.TokenReviewEvent{Everything: true}, true},
		"nothing that it knows": {v1alpha1.TokenReviewEvent{}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			x := newFollowing(t, tokenreview.Config{})
			x.asks()
			x.feed.lines <- event("ADDED", test.event)
			eventually(t, "the event is there", func() bool { return x.client.Stats().Events == 1 })
			if asked := x.asks(); asked != test.ends {
				t.Errorf("reviewed again: %t", asked)
			}
		})
	}
}

// TestLateAnswer has an event come while a review is under way, and reviews that are answered soon after an event: another replica may not
// know yet. Their verdicts are not cached for long.
func TestLateAnswer(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{})
	x.set(func(http.ResponseWriter, *http.Request) bool {
		before := x.client.Stats().Events
		x.feed.ended("serviceaccounts", "app")
		eventually(t, "the event is there", func() bool { return x.client.Stats().Events == before+1 })
		return false
	})
	x.asks()
	x.set(nil)
	if !x.asks() {
		t.Error("a verdict is cached that an event has ended while the review was under way")
	}
	x.passes(tokenreview.DefaultShortTTL)
	if !x.asks() {
		t.Error("a verdict of a moment after the event is cached for long")
	}
	x.passes(time.Minute)
	if !x.asks() {
		t.Error("a verdict of a moment after the event is cached for long")
	}
	x.passes(time.Minute)
	if x.asks() {
		t.Error("a verdict of a minute after the event is not cached for long")
	}
}

// TestEndsAt tells of an object that is going to end.
func TestEndsAt(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{})
	at := metav1.NewTime(x.clock.now().Add(2 * time.Hour))
	x.feed.lines <- event("ADDED", v1alpha1.TokenReviewEvent{Object: &v1alpha1.EndedObject{Resource: "pods", Namespace: "shop", Name: "app-0", EndsAt: &at}})
	eventually(t, "the event is there", func() bool { return x.client.Stats().Events == 1 })
	x.asks()
	x.passes(tokenreview.DefaultShortTTL)
	if !x.asks() {
		t.Error("a verdict is cached for long although the pod is going to end")
	}
}

// TestResumed ends the watch. The next one goes on where it was, and verdicts hold; if it can't, all verdicts end.
func TestResumed(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{})
	x.asks()
	x.feed.ended("pods", "other") // there may be more of them that did not come
	x.feed.lines <- nil
	eventually(t, "the watch is there again", func() bool { x.feed.mu.Lock(); defer x.feed.mu.Unlock(); return len(x.feed.from) == 2 })
	x.feed.mu.Lock()
	if first, second := x.feed.from[0], x.feed.from[1]; first != "" || second == "" || second == "50" {
		t.Errorf("the watches began at %q and %q", first, second)
	}
	x.feed.gone = true
	x.feed.mu.Unlock()
	if x.asks() {
		t.Error("verdicts have ended although the watch went on")
	}
	x.feed.lines <- nil
	eventually(t, "all verdicts have ended", func() bool { return x.client.Stats().Lost == 1 })
	x.passes(0)
	if !x.asks() {
		t.Error("verdicts hold although events were missed")
	}
}

// TestSilence has the feed say nothing more on a connection that stays open. Verdicts then hold for the short time, and the watch is begun anew.
func TestSilence(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{MaxSilence: time.Second})
	x.asks()
	x.clock.pass(tokenreview.DefaultShortTTL)
	x.passes(0)
	if x.asks() {
		t.Error("asked again although the feed is whole")
	}
	x.feed.mu.Lock()
	x.feed.deaf = true
	x.feed.mu.Unlock()
	eventually(t, "the feed counts as broken", func() bool { return !x.client.Stats().FeedWhole })
	if !x.asks() {
		t.Error("an older verdict holds although the feed is broken")
	}
	if x.asks() {
		t.Error("a new verdict does not hold for the short time")
	}
	x.feed.mu.Lock()
	x.feed.deaf = false
	x.feed.mu.Unlock()
	x.passes(0)
	x.feed.mu.Lock()
	defer x.feed.mu.Unlock()
	if n := len(x.feed.from); n < 2 || x.feed.from[n-1] == "" {
		t.Errorf("the watches began at %q", x.feed.from)
	}
}

// TestConfigurationChanges ends all verdicts when the server has other keys or another configuration.
func TestConfigurationChanges(t *testing.T) {
	t.Parallel()
	x := newFollowing(t, tokenreview.Config{})
	x.asks()
	x.feed.lines <- event("BOOKMARK", v1alpha1.TokenReviewEvent{Proof: &v1alpha1.TokenReviewProof{Time: metav1.NowMicro(), Configuration: "two"}})
	eventually(t, "the verdict has ended", x.asks)
}
