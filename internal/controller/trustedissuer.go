package controller

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/view"
)

const (
	// issuerInterval is how often each issuer is looked at, and issuerSoon how often while its keys were not read yet.
	issuerInterval, issuerSoon = 30 * time.Second, time.Second
	// readNoted is by how much the time of the last read may be ahead of the one in the status, and wordsNoted how long the words
	// about the same state stay as they are. Otherwise thousands of issuers would be written over and over.
	readNoted, wordsNoted = time.Hour, 10 * time.Minute
	// statusWrites is how many statuses are written in a second.
	statusWrites = 20
	// probes is how many clusters are asked at a time whether the live check works.
	probes = 4
	// maxMessage bounds the words of a condition.
	maxMessage = 1024
	// maxKeyID bounds a key id in a status.
	maxKeyID = 256
)

// IssuerFacts are what this process knows of an issuer.
type IssuerFacts struct {
	// Conflict says in words why another issuer with the same URL is used instead; empty if this one is used.
	Conflict string
	// Inline says that the keys are those in the object.
	Inline bool
	// KeyIDs are the ids of the keys, as they were read last.
	KeyIDs []string
	// Read is when the keys were read last, and Tried when that was last tried; zero if not yet.
	Read, Tried time.Time
	// Failure is why the last read failed; nil if it did not.
	Failure error
	// Next is when the keys are read again on schedule.
	Next time.Time
}

// LiveFacts are what this process knows of the cluster that an issuer's live check asks.
type LiveFacts struct {
	// Asked is whether the cluster was asked about anything.
	Asked bool
	// Failure is why the last call had no answer; nil if it had one.
	Failure error
}

// TrustedIssuers is what the trustedissuer-status-controller works on.
type TrustedIssuers struct {
	// OnChange tells of changes of issuers.
	OnChange func(view.Handler)
	// Names are the names of all issuers, and Get returns one.
	Names func() []string
	Get   func(name string) (*v1alpha1.TrustedIssuer, bool)
	// Facts returns what this process knows of an issuer, and whether it knows the issuer at all.
	Facts func(name string) (IssuerFacts, bool)
	// Live does so for the live check of an issuer, and Probe asks the cluster. They are nil if there are no live checks.
	Live  func(*v1alpha1.TrustedIssuer) LiveFacts
	Probe func(context.Context, *v1alpha1.TrustedIssuer)
	// Write writes the status of this version of an issuer.
	Write func(context.Context, *v1alpha1.TrustedIssuer) error
}

// issuerStatus is the trustedissuer-status-controller. It writes down what the replica that runs it knows of each issuer. No server
// decides by it, so nothing waits for it, and the replicas don't write what differs between them: one of them writes.
type issuerStatus struct {
	Config
	queue   *loop[string]
	writes  *rate.Limiter
	probing chan struct{}
	// worded says when the words of an issuer's conditions were written.
	worded map[string]time.Time
}

func newTrustedIssuerController(cfg Config) func(context.Context) {
	if cfg.TrustedIssuers == nil {
		return nil
	}
	queue := newLoop[string](cfg.Clock)
	cfg.TrustedIssuers.OnChange(func(key view.Key, _ runtime.Object) { queue.Add(key.Name) })
	return func(ctx context.Context) {
		c := &issuerStatus{
			Config: cfg, queue: queue, writes: rate.NewLimiter(statusWrites, statusWrites),
			probing: make(chan struct{}, probes), worded: map[string]time.Time{},
		}
		var asking sync.WaitGroup
		defer asking.Wait()
		queue.run(ctx, cfg.TrustedIssuers.Names, func(ctx context.Context, name string) (time.Duration, error) { return c.settle(ctx, &asking, name) })
	}
}

// settle writes the status of an issuer if it has changed, and returns when to look again.
func (c *issuerStatus) settle(ctx context.Context, asking *sync.WaitGroup, name string) (time.Duration, error) {
	issuer, ok := c.TrustedIssuers.Get(name)
	if !ok {
		delete(c.worded, name)
		return 0, nil
	}
	facts, ok := c.TrustedIssuers.Facts(name)
	if !ok {
		return issuerSoon, nil
	}
	if facts.Conflict == "" && !facts.Inline && facts.Tried.IsZero() {
		return issuerSoon, nil // another replica may know it, so what it noted stays
	}
	after := issuer.DeepCopy()
	noteIssuer(after, &facts)
	if issuer.Spec.LiveCheck != nil && c.TrustedIssuers.Live != nil {
		live := c.TrustedIssuers.Live(issuer)
		if !live.Asked {
			c.ask(ctx, asking, issuer)
		} else {
			noteLive(after, live.Failure)
		}
	} else {
		meta.RemoveStatusCondition(&after.Status.Conditions, v1alpha1.TrustedIssuerLiveCheckAvailable)
	}
	if !c.worth(&issuer.Status, &after.Status, name) {
		return issuerInterval, nil
	}
	if err := Leading(ctx); err != nil {
		return 0, err
	}
	if err := c.writes.Wait(ctx); err != nil {
		return 0, err
	}
	if err := ignoreNotFound(c.TrustedIssuers.Write(ctx, after)); err != nil {
		return 0, err
	}
	c.worded[name] = c.Now()
	return issuerInterval, nil
}

// ask has the cluster of an issuer asked in the background, and the issuer looked at then. If too many are being asked, the next
// look tries again.
func (c *issuerStatus) ask(ctx context.Context, asking *sync.WaitGroup, issuer *v1alpha1.TrustedIssuer) {
	select {
	case c.probing <- struct{}{}:
	default:
		return
	}
	asking.Go(func() {
		defer func() { <-c.probing }()
		_ = crash.Guard(func() error { // it has been reported
			c.TrustedIssuers.Probe(ctx, issuer)
			return nil
		})
		if c.TrustedIssuers.Live(issuer).Asked {
			c.queue.Add(issuer.Name)
		}
	})
}

// worth reports whether a status is worth writing: it has another state, or other keys; or later times, or other words, and the ones
// that are written are old.
func (c *issuerStatus) worth(before, after *v1alpha1.TrustedIssuerStatus, name string) bool {
	state := func(status *v1alpha1.TrustedIssuerStatus) *v1alpha1.TrustedIssuerStatus {
		plain := status.DeepCopy()
		plain.KeysReadTime = nil
		for i := range plain.Conditions {
			plain.Conditions[i].Message, plain.Conditions[i].LastTransitionTime = "", metav1.Time{}
		}
		return plain
	}
	if !equality.Semantic.DeepEqual(state(before), state(after)) {
		return true
	}
	if read := after.KeysReadTime; read != nil && (before.KeysReadTime == nil || read.Sub(before.KeysReadTime.Time) >= readNoted) {
		return true
	}
	return !equality.Semantic.DeepEqual(before.Conditions, after.Conditions) && c.Now().Sub(c.worded[name]) >= wordsNoted
}

// noteIssuer sets the status of an issuer by the facts.
func noteIssuer(issuer *v1alpha1.TrustedIssuer, facts *IssuerFacts) {
	status := &issuer.Status
	status.ObservedGeneration = issuer.Generation
	set := func(kind string, good bool, reason, message string) {
		value := metav1.ConditionFalse
		if good {
			value = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&status.Conditions, metav1.Condition{
			Type: kind, Status: value, Reason: reason, Message: shorten(message, maxMessage), ObservedGeneration: issuer.Generation,
		})
	}
	if facts.Conflict != "" {
		status.KeyIDs, status.KeysReadTime = nil, nil
		meta.RemoveStatusCondition(&status.Conditions, v1alpha1.TrustedIssuerKeysRead)
		set(v1alpha1.TrustedIssuerConflict, true, "SameURL", facts.Conflict)
		set(v1alpha1.TrustedIssuerReady, false, v1alpha1.TrustedIssuerConflict, facts.Conflict)
		return
	}
	meta.RemoveStatusCondition(&status.Conditions, v1alpha1.TrustedIssuerConflict)
	status.KeyIDs = nil
	for _, id := range facts.KeyIDs {
		status.KeyIDs = append(status.KeyIDs, shorten(id, maxKeyID))
	}
	if status.KeysReadTime = nil; !facts.Inline && !facts.Read.IsZero() {
		status.KeysReadTime = noted(facts.Read)
	}
	switch {
	case facts.Failure != nil:
		set(v1alpha1.TrustedIssuerKeysRead, false, "ReadFailed", "the keys can't be read: "+facts.Failure.Error())
	case facts.Inline:
		set(v1alpha1.TrustedIssuerKeysRead, true, "Inline", "the keys are those of spec.jwks")
	default:
		set(v1alpha1.TrustedIssuerKeysRead, true, "Read", "the keys were read where the issuer publishes them")
	}
	switch {
	case len(facts.KeyIDs) > 0 && facts.Failure != nil:
		set(v1alpha1.TrustedIssuerReady, true, "KeysOfBefore", fmt.Sprintf("tokens are checked with the %d keys that were read last", len(facts.KeyIDs)))
	case len(facts.KeyIDs) > 0:
		set(v1alpha1.TrustedIssuerReady, true, "KeysKnown", fmt.Sprintf("tokens are checked with %d keys", len(facts.KeyIDs)))
	case facts.Failure != nil:
		set(v1alpha1.TrustedIssuerReady, false, "NoKeys", "no token can be checked, since the keys can't be read: "+facts.Failure.Error())
	default:
		set(v1alpha1.TrustedIssuerReady, false, "NoKeys", "no token can be checked, since the issuer has no keys")
	}
}

// noteLive sets the condition of the live check.
func noteLive(issuer *v1alpha1.TrustedIssuer, failure error) {
	condition := metav1.Condition{
		Type: v1alpha1.TrustedIssuerLiveCheckAvailable, Status: metav1.ConditionTrue, Reason: "Answered",
		Message: "the cluster answers about its tokens", ObservedGeneration: issuer.Generation,
	}
	if failure != nil {
		condition.Status, condition.Reason, condition.Message = metav1.ConditionFalse, "NoAnswer", shorten(failure.Error(), maxMessage)
	}
	meta.SetStatusCondition(&issuer.Status.Conditions, condition)
}

// shorten returns words of which an issuer may have chosen a part, in valid UTF-8 and of most bytes.
func shorten(words string, most int) string {
	words = strings.ToValidUTF8(words, "?")
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return words
}
