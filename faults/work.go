package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

const (
	workers = 4
	// pool is about how many tokens live at a time.
	pool = 60
	// waveSize is how many tokens are taken back in the middle of a fault.
	waveSize = 20
	// endTries is how often an end is asked for until a replica acknowledges it.
	endTries = 200
)

// world is what the work is done with.
type world struct {
	replicas []*replica
	model    *model
	report   *report
	// prefix is that of the names of objects.
	prefix string
	names  atomic.Int64
	// still is held for writing while nothing may be under way.
	still sync.RWMutex
}

// work makes, uses and ends tokens until the context ends.
func (w *world) work(ctx context.Context, rnd *rand.Rand) {
	for ctx.Err() == nil {
		w.still.RLock()
		w.story(ctx, rnd)
		w.still.RUnlock()
		pause(ctx, time.Duration(rnd.IntN(20))*time.Millisecond)
	}
}

// story is the life of one token, and looks at some others.
func (w *world) story(ctx context.Context, rnd *rand.Rand) {
	if t := w.make(ctx, rnd); t != nil {
		w.reviewEverywhere(ctx, rnd, t)
		w.model.addToken(t)
	}
	if t := w.model.takeLiving(rnd, pool); t != nil {
		w.end(ctx, rnd, t, t.bonds[rnd.IntN(len(t.bonds))])
	}
	for _, t := range w.model.pick(rnd, 2) {
		w.review(ctx, w.any(rnd), t)
	}
}

// any returns some replica. A paused one is among them now and then: what it is asked it answers when it goes on.
func (w *world) any(rnd *rand.Rand) *replica {
	r := w.replicas[rnd.IntN(len(w.replicas))]
	if r.process.paused.Load() && rnd.IntN(8) > 0 {
		return w.any(rnd)
	}
	return r
}

// make creates an account on one replica, a pod of it on another, and at once requests a token from a third one.
func (w *world) make(ctx context.Context, rnd *rand.Rand) *token {
	name := fmt.Sprintf("%sw%d", w.prefix, w.names.Add(1))
	t := &token{account: &bond{resource: "serviceaccounts", name: name}, revocation: &bond{resource: "revocation", name: name}}
	if !w.create(ctx, rnd, t.account, name) {
		return nil
	}
	t.bonds = append(t.bonds, t.account)
	pod := &bond{resource: "pods", name: name}
	if rnd.IntN(2) == 0 {
		if !w.create(ctx, rnd, pod, name) {
			return nil
		}
		t.bonds = append(t.bonds, pod)
	}
	t.bonds = append(t.bonds, t.revocation)
	boundTo := ""
	if len(t.bonds) == 3 {
		boundTo = pod.name
	}
	for range 3 {
		r := w.any(rnd)
		clock := r.clock()
		text, err := r.client.issue(ctx, name, boundTo, pod.uid)
		w.report.count("token requests")
		if err == nil {
			t.text, t.clock, t.made, t.revocation.made = text, clock, time.Now(), time.Now()
			return t
		}
		if !w.excused(ctx, r, "a token request for an account that exists", err) {
			return nil
		}
	}
	return nil
}

// create creates an object on some replica, and puts it into the model.
func (w *world) create(ctx context.Context, rnd *rand.Rand, b *bond, account string) bool {
	r := w.any(rnd)
	var err error
	if b.resource == "pods" {
		b.uid, err = r.client.createPod(ctx, b.name, account)
	} else {
		b.uid, err = r.client.createAccount(ctx, b.name)
	}
	w.report.count("writes")
	if err != nil {
		w.excused(ctx, r, "a create of an object with a new name", err)
		return false
	}
	b.made = time.Now()
	w.model.addBond(b)
	return true
}

// end asks for the end of a bond until a replica acknowledges it, and reviews the token at once.
func (w *world) end(ctx context.Context, rnd *rand.Rand, t *token, b *bond) {
	w.model.begin(b)
	for try := range endTries {
		r := w.any(rnd)
		var err error
		if b == t.revocation {
			err = r.client.revoke(ctx, b.name, t.text)
		} else {
			err = r.client.remove(ctx, b.resource, b.name)
		}
		w.report.count("writes")
		switch code := codeOf(err); {
		case err == nil:
			w.model.ack(b, r)
		case try > 0 && (code == http.StatusNotFound || code == http.StatusConflict):
			// An earlier try did it, whose answer was lost.
			w.model.ack(b, nil)
		default:
			if !w.excused(ctx, r, "the end of a "+b.resource, err) || ctx.Err() != nil {
				w.model.forget(b)
				return
			}
			pause(ctx, 100*time.Millisecond)
			continue
		}
		w.review(ctx, r, t)
		w.reviewEverywhere(ctx, rnd, t)
		w.model.addEnded(t)
		w.clear(ctx, rnd, t)
		return
	}
	w.model.forget(b)
}

// clear deletes what an ended token has left, so that the store does not grow.
func (w *world) clear(ctx context.Context, rnd *rand.Rand, t *token) {
	for _, b := range t.bonds {
		if b != t.revocation && w.model.begin(b) {
			w.delete(ctx, rnd, b)
		}
	}
}

// delete deletes an object once. If the answer is lost, so is what is known of it.
func (w *world) delete(ctx context.Context, rnd *rand.Rand, b *bond) {
	r := w.any(rnd)
	w.report.count("writes")
	if err := r.client.remove(ctx, b.resource, b.name); err != nil {
		w.excused(ctx, r, "the end of a "+b.resource, err)
		w.model.forget(b)
		return
	}
	w.model.ack(b, r)
}

// reviewEverywhere asks all replicas, but those that are paused and can't answer.
func (w *world) reviewEverywhere(ctx context.Context, rnd *rand.Rand, t *token) {
	for _, i := range rnd.Perm(len(w.replicas)) {
		if r := w.replicas[i]; !r.process.paused.Load() {
			w.review(ctx, r, t)
		}
	}
}

// review asks a replica about a token and compares the verdict with the model.
func (w *world) review(ctx context.Context, r *replica, t *token) {
	asked := time.Now()
	status, err := r.client.review(ctx, t.text)
	answered := time.Now()
	w.report.count("reviews")
	if err != nil {
		w.excused(ctx, r, "a review", err)
		return
	}
	if wrong := w.model.judge(r, t, asked, answered, status.Authenticated); wrong != "" {
		w.report.violation("%s (%s)", wrong, status.Error)
	}
}

// excused tells whether a failed call may be repeated. One that says something wrong is a violation.
func (w *world) excused(ctx context.Context, r *replica, what string, err error) bool {
	switch {
	case ctx.Err() != nil:
		return true
	case unavailable(err):
		w.report.count("no answer, or ask again")
		if r.calmSinceBefore(time.Now()) {
			w.report.count("the same, from a replica without a fault")
		}
		return true
	}
	w.report.violation("%s was refused by %s: %v", what, r.name, err)
	return false
}

// wave makes a new signing key and takes back many tokens.
func (w *world) wave(ctx context.Context, rnd *rand.Rand) {
	w.still.RLock()
	defer w.still.RUnlock()
	if err := w.any(rnd).client.rotate(ctx); err == nil {
		w.report.count("rotations")
	} else if code := codeOf(err); !unavailable(err) && code != http.StatusConflict {
		w.report.violation("a rotation was refused: %v", err)
	}
	var revocations sync.WaitGroup
	for range waveSize {
		t := w.model.takeLiving(rnd, 1)
		if t == nil {
			break
		}
		own := rand.New(rand.NewPCG(rnd.Uint64(), 0))
		revocations.Go(func() {
			w.report.count("revocations in waves")
			w.end(ctx, own, t, t.revocation)
		})
	}
	revocations.Wait()
}

// audit compares what every replica has stored with the model, while nothing is under way.
func (w *world) audit(ctx context.Context) error {
	w.still.Lock()
	defer w.still.Unlock()
	for _, resource := range []string{"serviceaccounts", "pods"} {
		present, absent := w.model.stored(resource)
		for _, r := range w.replicas {
			if err := wait(ctx, r.name+" lists "+resource, func(ctx context.Context) error {
				found, err := r.client.uids(ctx, resource)
				if err == nil {
					w.compare(r, resource, found, present, absent)
				}
				return err
			}); err != nil {
				return err
			}
		}
		w.model.compared(resource, absent)
	}
	return nil
}

// compare reports what a replica has lost, and what it still has.
func (w *world) compare(r *replica, resource string, found, present, absent map[string]types.UID) {
	for name, uid := range present {
		if found[name] != uid {
			w.report.violation("%s has lost %s %s, whose creation was acknowledged", r.name, resource, name)
		}
	}
	for name, uid := range absent {
		if found[name] == uid {
			w.report.violation("%s still has %s %s, whose deletion was acknowledged", r.name, resource, name)
		}
	}
	w.report.add("stored objects compared", int64(len(present)+len(absent)))
}

// pause waits, or ends early with the context.
func pause(ctx context.Context, length time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(length):
	}
}
