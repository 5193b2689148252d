package apiserver_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestNeverStale creates, deletes and recreates accounts, pods, secrets and nodes at random, and issues and reviews
// tokens in between, against a plain model of what exists. Several players with objects of their own do so at once.
//
// On the server that has acknowledged a change every review knows of it. Another server over the same etcd still accepts
// a token for a moment after its end, never one that it has refused before; and it knows every good one.
func TestNeverStale(t *testing.T) {
	t.Parallel()
	for name, servers := range map[string]struct {
		n int
		// lag is how much later than usual servers are told what others have done.
		lag time.Duration
	}{
		"one server":                    {1, 300 * time.Millisecond},
		"two servers over one etcd":     {2, 0},
		"two servers with a slow watch": {2, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			replicas := startReplicas(t, servers.n, servers.lag)
			const players, steps = 4, 60
			seed := rand.Uint64()
			found := make([]*player, players)
			errs := make([]error, players)
			var playing sync.WaitGroup
			for i := range players {
				p := newPlayer(fmt.Sprintf("p%d", i), rand.New(rand.NewPCG(seed, uint64(i))), replicas)
				found[i] = p
				playing.Go(func() { errs[i] = p.play(t.Context(), steps) })
			}
			playing.Wait()
			var lags []time.Duration
			refused := 0
			for i, p := range found {
				if errs[i] != nil {
					t.Errorf("seed %d, player %d: %v, after:\n%q", seed, i, errs[i], p.trace)
				}
				lags, refused = append(lags, p.lags...), refused+p.refused
			}
			if !t.Failed() && refused < players*steps/20 {
				t.Errorf("seed %d: only %d reviews of ended tokens", seed, refused)
			}
			checkLags(t, lags, len(replicas) > 1)
		})
	}
}

// checkLags looks at the times from the acknowledged end of a token until another server refused it.
func checkLags(t *testing.T, lags []time.Duration, wanted bool) {
	t.Helper()
	if !wanted || t.Failed() {
		return
	}
	if len(lags) < 20 {
		t.Fatalf("a token's end was looked for at the other server only %d times", len(lags))
	}
	slices.Sort(lags)
	middle, late := lags[len(lags)/2], lags[len(lags)*99/100]
	t.Logf("the other server refuses after %s (p50), %s (p99), of %d", middle, late, len(lags))
	// A busy machine may take long once, but not mostly.
	if middle > time.Second {
		t.Errorf("the other server mostly takes more than a second: %s (p50)", middle)
	}
}

// startReplicas starts servers over an etcd that is none of theirs.
func startReplicas(t *testing.T, n int, lag time.Duration) []replica {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	endpoint := member.Endpoint()
	if lag > 0 {
		endpoint = slowWatch(t, endpoint, lag)
	}
	var replicas []replica
	for range n {
		s := testserver.Start(t, "--etcd-servers="+endpoint, "--controllers=",
			"--service-account-issuer=https://tokens.example", "--service-account-signing-key-file="+key)
		replicas = append(replicas, replica{s.Admin().CoreV1().RESTClient()})
	}
	return replicas
}

// player is one who acts at random, on objects that nobody else touches.
type player struct {
	name     string
	random   *rand.Rand
	replicas []replica
	// objects are those that exist, by kind and name, and tokens all that were issued.
	objects map[object]*state
	tokens  []*token

	trace   []string
	lags    []time.Duration
	refused int
}

// object names an object. An account has no other of the same kind and name while it exists.
type object struct{ kind, name string }

// state is what is known of an object that exists.
type state struct {
	uid string
	// held says that it has a finalizer, and leaving that it is being deleted.
	held, leaving bool
}

// token is a token and what it is bound to, by UID.
type token struct {
	text  string
	bonds map[object]string
	// ended is when its end was acknowledged, and by which replica; zero while it is good.
	ended time.Time
	by    int
	// refusedBy are the replicas that have refused it.
	refusedBy map[int]bool
}

func newPlayer(name string, random *rand.Rand, replicas []replica) *player {
	return &player{name: name, random: random, replicas: replicas, objects: map[object]*state{}}
}

// play acts, and after each action looks at a token that it has ended, if it has, and at any other.
func (p *player) play(ctx context.Context, steps int) error {
	for range steps {
		at := p.random.IntN(len(p.replicas))
		did, err := p.act(ctx, at)
		p.trace = append(p.trace, fmt.Sprintf("%s at %d", did, at))
		if err != nil {
			return err
		}
		for _, ended := range p.end(at) {
			for i := range p.replicas {
				// First where it was acknowledged: that must not take a look at the other to be right.
				if err := p.review(ctx, ended, (at+i)%len(p.replicas)); err != nil {
					return err
				}
			}
		}
		if len(p.tokens) == 0 {
			continue
		}
		if err := p.review(ctx, p.tokens[p.random.IntN(len(p.tokens))], p.random.IntN(len(p.replicas))); err != nil {
			return err
		}
	}
	return nil
}

// act does one thing to one object.
func (p *player) act(ctx context.Context, at int) (did string, err error) {
	kinds := []string{"ServiceAccount", "Pod", "Secret", "Node"}
	o := object{kinds[p.random.IntN(len(kinds))], p.name + "-" + string(rune('a'+p.random.IntN(2)))}
	r, s := p.replicas[at], p.objects[o]
	switch roll := p.random.IntN(10); {
	case s == nil:
		return p.create(ctx, r, o)
	case roll < 5:
		return p.issue(ctx, r, o)
	case roll < 6:
		return fmt.Sprintf("labelled %v", o), r.label(ctx, o, fmt.Sprint(p.random.Int()))
	case s.leaving:
		delete(p.objects, o)
		if s.held {
			return fmt.Sprintf("took the finalizer from %v", o), r.release(ctx, o)
		}
		return fmt.Sprintf("ended the grace of %v", o), r.remove(ctx, o, 0)
	case s.held:
		s.leaving = true
		return fmt.Sprintf("deleted %v, which has a finalizer", o), r.remove(ctx, o, 0)
	case o.kind == "Pod" && roll < 8:
		s.leaving = true
		return fmt.Sprintf("deleted %v with grace", o), r.remove(ctx, o, 30)
	case roll < 8:
		delete(p.objects, o)
		if err := r.remove(ctx, o, 0); err != nil {
			return fmt.Sprintf("deleted %v", o), err
		}
		did, err = p.create(ctx, r, o)
		return "deleted and " + did, err
	default:
		delete(p.objects, o)
		return fmt.Sprintf("deleted %v", o), r.remove(ctx, o, 0)
	}
}

func (p *player) create(ctx context.Context, r replica, o object) (did string, err error) {
	s := &state{held: p.random.IntN(3) == 0}
	p.objects[o] = s
	s.uid, err = r.create(ctx, o, s.held)
	return fmt.Sprintf("created %v, held %t", o, s.held), err
}

// issue issues a token of the account of the object's name, bound to the object if that is another one.
func (p *player) issue(ctx context.Context, r replica, o object) (did string, err error) {
	account := p.objects[object{"ServiceAccount", o.name}]
	if account == nil {
		return fmt.Sprintf("no account for %v", o), nil
	}
	issued, err := r.issue(ctx, o, p.random.IntN(2) == 0)
	if err != nil {
		return fmt.Sprintf("issued for %v", o), err
	}
	if p.good(issued) {
		p.tokens = append(p.tokens, issued)
	} else if len(p.replicas) == 1 {
		return fmt.Sprintf("issued for %v", o), errors.New("the token is for an object that is gone")
	}
	return fmt.Sprintf("issued for %v", o), nil
}

// good reports whether all is there that a token is bound to.
func (p *player) good(tk *token) bool {
	for o, uid := range tk.bonds {
		if s := p.objects[o]; s == nil || s.uid != uid {
			return false
		}
	}
	return true
}

// end returns the tokens that the last change has ended, which a replica has acknowledged.
func (p *player) end(at int) []*token {
	var ended []*token
	for _, tk := range p.tokens {
		if tk.ended.IsZero() && !p.good(tk) {
			tk.ended, tk.by = time.Now(), at
			ended = append(ended, tk)
		}
	}
	return ended
}

// tooLate is when a server that has not acknowledged a token's end itself must refuse it, on the busiest machine.
const tooLate = 10 * time.Second

// review has a replica review a token, until it is refused if it has ended.
func (p *player) review(ctx context.Context, tk *token, at int) error {
	for {
		ok, err := p.replicas[at].review(ctx, tk.text, p.random.IntN(2) == 0)
		switch {
		case err != nil:
			return err
		case ok && tk.ended.IsZero():
			return nil
		case tk.ended.IsZero():
			return fmt.Errorf("replica %d refuses a good token, bound to %v", at, tk.bonds)
		case !ok:
			p.refused++
			if at != tk.by && !tk.refusedBy[at] {
				p.lags = append(p.lags, time.Since(tk.ended))
			}
			tk.refusedBy[at] = true
			return nil
		case at == tk.by:
			return fmt.Errorf("replica %d accepts a token after it has acknowledged its end: it is bound to %v", at, tk.bonds)
		case tk.refusedBy[at]:
			return fmt.Errorf("replica %d accepts a token that it has refused: it is bound to %v", at, tk.bonds)
		case time.Since(tk.ended) > tooLate:
			return fmt.Errorf("replica %d still accepts a token that ended %s ago: it is bound to %v", at, time.Since(tk.ended), tk.bonds)
		}
	}
}
