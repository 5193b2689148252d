package controller_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/view"
)

// issuerDesk has issuers with what a process knows of them, and counts the writes of their statuses.
type issuerDesk struct {
	mu      sync.Mutex
	issuers map[string]*v1alpha1.TrustedIssuer
	facts   map[string]controller.IssuerFacts
	live    controller.LiveFacts
	probed  int
	writes  int
	changed view.Handler
}

func (d *issuerDesk) work() *controller.TrustedIssuers {
	return &controller.TrustedIssuers{
		OnChange: func(h view.Handler) { d.changed = h },
		Names: func() (names []string) {
			d.mu.Lock()
			defer d.mu.Unlock()
			for name := range d.issuers {
				names = append(names, name)
			}
			return names
		},
		Get: func(name string) (*v1alpha1.TrustedIssuer, bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			issuer, ok := d.issuers[name]
			return issuer, ok
		},
		Facts: func(name string) (controller.IssuerFacts, bool) {
			d.mu.Lock()
			defer d.mu.Unlock()
			facts, ok := d.facts[name]
			return facts, ok
		},
		Live: func(*v1alpha1.TrustedIssuer) controller.LiveFacts {
			d.mu.Lock()
			defer d.mu.Unlock()
			return d.live
		},
		Probe: func(context.Context, *v1alpha1.TrustedIssuer) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.probed++
			d.live = controller.LiveFacts{Asked: true, Failure: errors.New("403 Forbidden")}
		},
		Write: func(_ context.Context, issuer *v1alpha1.TrustedIssuer) error {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.writes++
			d.issuers[issuer.Name] = issuer
			return nil
		},
	}
}

// set changes what is known of an issuer.
func (d *issuerDesk) set(name string, facts controller.IssuerFacts) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.facts[name] = facts
}

// says returns the conditions of an issuer in short, the ids of its keys, and how many writes there were.
func (d *issuerDesk) says(name string) (said []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	status := d.issuers[name].Status
	for _, kind := range []string{"Ready", "KeysRead", "Conflict", "LiveCheckAvailable"} {
		if c := meta.FindStatusCondition(status.Conditions, kind); c != nil {
			said = append(said, fmt.Sprintf("%s=%s(%s)", kind, c.Status, c.Reason))
		}
	}
	return append(said, fmt.Sprint(status.KeyIDs), fmt.Sprint(d.writes))
}

// TestTrustedIssuerStatus: the status is written when it changes, and not for each read of the keys or each failure.
func TestTrustedIssuerStatus(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		issuer := &v1alpha1.TrustedIssuer{ObjectMeta: metav1.ObjectMeta{Name: "east", Generation: 3}}
		desk := &issuerDesk{issuers: map[string]*v1alpha1.TrustedIssuer{"east": issuer}, facts: map[string]controller.IssuerFacts{"east": {}}}
		ctx, cancel := context.WithCancel(t.Context())
		made, err := controller.New(controller.Config{Controllers: sets.New("trustedissuer-status-controller"), TrustedIssuers: desk.work()})
		if err != nil {
			t.Fatal(err)
		}
		done := make(chan struct{})
		go func() { defer close(done); made.Run(ctx) }()
		defer func() { cancel(); <-done }()
		later := func(by time.Duration, want ...string) {
			t.Helper()
			time.Sleep(by)
			synctest.Wait()
			if got := desk.says("east"); !slices.Equal(got, want) {
				t.Errorf("the status is %q, want %q", got, want)
			}
		}
		later(time.Minute, "[]", "0") // nothing is known yet, and another replica may have noted more
		down := errors.New("connection refused")
		desk.set("east", controller.IssuerFacts{Tried: time.Now(), Failure: down})
		later(2*time.Second, "Ready=False(NoKeys)", "KeysRead=False(ReadFailed)", "[]", "1")
		desk.set("east", controller.IssuerFacts{Tried: time.Now(), Read: time.Now(), KeyIDs: []string{"a", "b"}})
		later(time.Minute, "Ready=True(KeysKnown)", "KeysRead=True(Read)", "[a b]", "2")
		// Reads that bring the same keys are noted once in an hour, and other words about the same failure now and then.
		for range 30 {
			desk.set("east", controller.IssuerFacts{Tried: time.Now(), Read: time.Now(), KeyIDs: []string{"a", "b"}})
			time.Sleep(time.Minute)
		}
		later(0, "Ready=True(KeysKnown)", "KeysRead=True(Read)", "[a b]", "2")
		read := time.Now()
		for n := range 25 {
			desk.set("east", controller.IssuerFacts{Tried: time.Now(), Read: read, KeyIDs: []string{"a", "b"}, Failure: fmt.Errorf("%w: port %d", down, n)})
			time.Sleep(time.Minute)
		}
		later(0, "Ready=True(KeysOfBefore)", "KeysRead=False(ReadFailed)", "[a b]", "5")
		desk.set("east", controller.IssuerFacts{Conflict: "the TrustedIssuer west has the same url"})
		later(time.Minute, "Ready=False(Conflict)", "Conflict=True(SameURL)", "[]", "6")
		desk.set("east", controller.IssuerFacts{Inline: true, Read: time.Now(), KeyIDs: []string{"c"}})
		later(time.Minute, "Ready=True(KeysKnown)", "KeysRead=True(Inline)", "[c]", "7")
		// An issuer chooses its key ids, and must not fill the store with them.
		desk.set("east", controller.IssuerFacts{Inline: true, Read: time.Now(), KeyIDs: []string{strings.Repeat("c", 1<<20)}})
		later(time.Minute, "Ready=True(KeysKnown)", "KeysRead=True(Inline)", "["+strings.Repeat("c", 256)+"…]", "8")

		// A cluster that was not asked yet is asked.
		desk.mu.Lock()
		changed := desk.issuers["east"].DeepCopy()
		changed.Spec.LiveCheck = &v1alpha1.LiveCheck{}
		desk.issuers["east"] = changed
		desk.mu.Unlock()
		desk.changed(view.Key{Name: "east"}, changed)
		later(time.Minute, "Ready=True(KeysKnown)", "KeysRead=True(Inline)", "LiveCheckAvailable=False(NoAnswer)", "["+strings.Repeat("c", 256)+"…]", "9")
		if desk.probed != 1 {
			t.Errorf("the cluster was asked %d times", desk.probed)
		}
	})
}
