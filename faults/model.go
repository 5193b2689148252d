package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// settleTime is how long after a fault a replica may need to be as before: to connect, to elect, to read what it missed.
const settleTime = 4 * time.Second

// connectedBound is how late a connected replica may learn of an end that another one acknowledged.
const connectedBound = time.Second

// bond is what a token depends on: its account, its pod, or that it was not taken back.
type bond struct {
	resource string
	name     string
	uid      types.UID
	made     time.Time
	// begun is when its end was first asked for, and acked when a replica first acknowledged that: by is that replica, or
	// nil where the answer before it was lost, so that another may have done it.
	begun, acked time.Time
	by           *replica
}

// rollBack undoes an end after an instant.
func (b *bond) rollBack(to time.Time) {
	if b.begun.After(to) {
		b.begun, b.acked, b.by = time.Time{}, time.Time{}, nil
	}
}

// token is an issued token and what it depends on.
type token struct {
	text string
	made time.Time
	// clock is by how much the clock of the server that issued it was ahead.
	clock time.Duration
	bonds []*bond
	// account is the first bond. revocation is the last: its end is the revocation.
	account, revocation *bond
}

// alive tells whether no end of the token was asked for before an instant.
func (t *token) alive(at time.Time) bool {
	for _, b := range t.bonds {
		if !b.begun.IsZero() && b.begun.Before(at) {
			return false
		}
	}
	return true
}

// model is what the servers have acknowledged. It holds objects and tokens, and no rule but that of ends.
type model struct {
	mu     sync.Mutex
	bonds  map[*bond]bool
	living []*token
	ended  []*token
	// gone are tokens that must be refused because the store was put back to a time before them.
	gone []*token
}

// kept is how many ended tokens are reviewed again and again.
const kept = 300

func newModel() *model { return &model{bonds: map[*bond]bool{}} }

func (m *model) addBond(b *bond) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bonds[b] = true
}

// forget drops an object of which an answer was lost: it may be there or not.
func (m *model) forget(b *bond) {
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.bonds, b)
}

func (m *model) addToken(t *token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.living = append(m.living, t)
}

// begin notes that the end of a bond is asked for now. It returns whether that is the first time.
func (m *model) begin(b *bond) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !b.begun.IsZero() {
		return false
	}
	b.begun = time.Now()
	return true
}

func (m *model) ack(b *bond, by *replica) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b.acked, b.by = time.Now(), by
}

// takeLiving removes a token from the living ones, for its end.
func (m *model) takeLiving(rnd *rand.Rand, atLeast int) *token {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.living) < max(atLeast, 1) {
		return nil
	}
	i := rnd.IntN(len(m.living))
	t := m.living[i]
	m.living[i] = m.living[len(m.living)-1]
	m.living = m.living[:len(m.living)-1]
	return t
}

func (m *model) addEnded(t *token) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = append(m.ended, t)
	if len(m.ended) > kept {
		m.ended = m.ended[1:]
	}
}

// pick returns some tokens to review: living, ended and gone ones.
func (m *model) pick(rnd *rand.Rand, n int) []*token {
	m.mu.Lock()
	defer m.mu.Unlock()
	var picked []*token
	for _, from := range [][]*token{m.living, m.ended, m.gone} {
		for range n {
			if len(from) > 0 {
				picked = append(picked, from[rnd.IntN(len(from))])
			}
		}
	}
	return picked
}

// judge compares a verdict with the model. It returns what is wrong with it.
func (m *model) judge(r *replica, t *token, asked, answered time.Time, authenticated bool) string {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !authenticated {
		for _, g := range m.gone {
			if g == t {
				return ""
			}
		}
		if t.alive(answered) && !t.notYetValid(r, answered) {
			return fmt.Sprintf("%s refused a valid token, %s after it was issued", r.name, answered.Sub(t.made).Round(time.Millisecond))
		}
		return ""
	}
	for _, b := range t.bonds {
		if b.acked.IsZero() || asked.Before(b.acked) {
			continue
		}
		late, limit := asked.Sub(b.acked), maxStaleness
		switch {
		case b.by == r:
			limit = 0
		case r.calmSinceBefore(b.acked):
			limit = connectedBound
		}
		if late > limit {
			return fmt.Sprintf("%s accepted a token %s after the acknowledged end of its %s; it may for %s",
				r.name, late.Round(time.Millisecond), b.resource, limit)
		}
	}
	return ""
}

// stored returns the objects of a resource that must be stored, and those that must not.
func (m *model) stored(resource string) (present, absent map[string]types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	present, absent = map[string]types.UID{}, map[string]types.UID{}
	for b := range m.bonds {
		switch {
		case b.resource != resource:
		case b.begun.IsZero():
			present[b.name] = b.uid
		case !b.acked.IsZero():
			absent[b.name] = b.uid
		}
	}
	return present, absent
}

// compared drops the objects that all replicas have been found not to have.
func (m *model) compared(resource string, absent map[string]types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for b := range m.bonds {
		if b.resource == resource && absent[b.name] == b.uid {
			delete(m.bonds, b)
		}
	}
}

// rollBack forgets everything after an instant at which nothing was under way: the store was put back to it. Tokens that
// were issued since must be refused, and those that were ended since are good again.
func (m *model) rollBack(to time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := append(append([]*token{}, m.living...), m.ended...)
	for b := range m.bonds {
		b.rollBack(to)
		if b.made.After(to) {
			delete(m.bonds, b)
		}
	}
	for _, t := range before {
		for _, b := range t.bonds {
			b.rollBack(to)
		}
	}
	m.living, m.ended, m.gone = nil, nil, nil
	for _, t := range before {
		switch {
		case t.account.made.After(to):
			m.gone = append(m.gone, t)
		case t.made.After(to): // it was signed, perhaps by a key that the store does not have any more
		case t.alive(time.Now()):
			m.living = append(m.living, t)
		default:
			m.ended = append(m.ended, t)
		}
	}
}
