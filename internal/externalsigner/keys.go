package externalsigner

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/backoff"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/signingkey"
)

const (
	// maxKeyID is the longest key id.
	maxKeyID = 1024
	// retryFetch is when keys are fetched again after an error.
	retryFetch = 10 * time.Second
	// findTimeout bounds how long a review waits for keys.
	findTimeout = 3 * time.Second
	// pace is the shortest time between two fetches, since made-up key ids ask for them.
	pace = 200 * time.Millisecond
)

// connectParams let a signer that was started again be found within a second. A socket on the same machine costs nothing.
var connectParams = grpc.ConnectParams{
	Backoff:           backoff.Config{BaseDelay: 100 * time.Millisecond, Multiplier: 1.6, Jitter: 0.2, MaxDelay: time.Second},
	MinConnectTimeout: 5 * time.Second,
}

// keys are what FetchKeys answered.
type keys struct {
	list []signingkey.PublicKey
	// data is when the signer read them, and refresh when they are to be fetched again.
	data, refresh time.Time
}

// fetch is a call of FetchKeys that several may wait for.
type fetch struct {
	done chan struct{}
	err  error
}

// fetch has the keys fetched by a call that begins after this one, and waits for it. Calls begin at a pace, one at a time.
func (s *Signer) fetch(ctx context.Context) error {
	s.mu.Lock()
	next := s.waiting
	if next == nil {
		next = &fetch{done: make(chan struct{})}
		s.waiting = next
		if !s.running {
			s.running = true
			go s.fetchAll(context.WithoutCancel(ctx))
		}
	}
	s.mu.Unlock()
	select {
	case <-next.done:
		return next.err
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// fetchAll makes the calls that are asked for.
func (s *Signer) fetchAll(ctx context.Context) {
	for {
		s.mu.Lock()
		if s.waiting == nil {
			s.running = false
			s.mu.Unlock()
			return
		}
		pause := pace - s.now().Sub(s.last)
		s.mu.Unlock()
		if pause > 0 {
			time.Sleep(min(pause, pace))
		}
		s.mu.Lock()
		current := s.waiting
		s.waiting, s.last = nil, s.now()
		s.mu.Unlock()
		current.err = s.fetchNow(ctx)
		close(current.done)
	}
}

func (s *Signer) fetchNow(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, fetchTimeout)
	defer cancel()
	answer, err := s.fetchKeys(ctx)
	s.metrics.countFetch(err)
	if err != nil {
		return fmt.Errorf("while fetching token verification keys: %w", err)
	}
	s.metrics.setDataTimestamp(answer.data)
	before := s.keys.Swap(answer)
	if before != nil && answer.data.Before(before.data) {
		klog.FromContext(ctx).Info("The data timestamp of the external signer went back: its keys may be old", "before", before.data, "now", answer.data)
	}
	if changed := s.changed.Load(); changed != nil {
		(*changed)()
	}
	return nil
}

// fetchKeys calls FetchKeys. An answer with anything wrong in it is refused as a whole.
func (s *Signer) fetchKeys(ctx context.Context) (*keys, error) {
	response, err := s.client.FetchKeys(ctx, &externaljwtv1.FetchKeysRequest{})
	if err != nil {
		return nil, fmt.Errorf("while getting externally supported jwt signing keys: %w", err)
	}
	if hint := response.RefreshHintSeconds; hint <= 0 || hint > maxLife {
		return nil, fmt.Errorf("found invalid refresh hint (%ds)", hint)
	}
	if len(response.Keys) == 0 {
		return nil, errors.New("found no keys")
	}
	if err := response.DataTimestamp.CheckValid(); err != nil {
		return nil, fmt.Errorf("invalid data timestamp: %w", err)
	}
	answer := &keys{data: response.DataTimestamp.AsTime(), refresh: s.now().Add(time.Duration(response.RefreshHintSeconds) * time.Second)}
	for _, given := range response.Keys {
		key, err := parseKey(given)
		if err != nil {
			return nil, err
		}
		answer.list = append(answer.list, key)
	}
	return answer, nil
}

func parseKey(given *externaljwtv1.Key) (key signingkey.PublicKey, err error) {
	switch {
	case given == nil:
		return key, errors.New("found nil public key")
	case given.KeyId == "" || len(given.KeyId) > maxKeyID:
		return key, fmt.Errorf("found invalid public key id %q", given.KeyId)
	case len(given.Key) == 0:
		return key, errors.New("found empty public key")
	}
	public, err := x509.ParsePKIXPublicKey(given.Key)
	if err != nil {
		return key, fmt.Errorf("while parsing external public keys: %w", err)
	}
	if err := signingkey.CheckPublic(public); err != nil {
		return key, fmt.Errorf("while parsing external public keys: %q: %w", given.KeyId, err)
	}
	return signingkey.PublicKey{ID: given.KeyId, Public: public, Hidden: given.ExcludeFromOidcDiscovery}, nil
}

// named returns the keys with an id.
func (k *keys) named(id string) []signingkey.PublicKey {
	return slices.DeleteFunc(slices.Clone(k.list), func(key signingkey.PublicKey) bool { return key.ID != id })
}

// Bind takes the function that is called when the keys have been fetched.
func (s *Signer) Bind(changed func()) { s.changed.Store(&changed) }

// Contents returns the keys that were fetched last. The external signer chooses the algorithm.
func (s *Signer) Contents(time.Time) (signingkey.Contents, error) {
	known := s.keys.Load()
	return signingkey.Contents{Keys: known.list, Signers: map[string]signingkey.TokenSigner{"": s}, FreshUntil: known.refresh}, nil
}

// Find fetches the keys.
func (s *Signer) Find(ctx context.Context, _ string) error {
	ctx, cancel := context.WithTimeout(ctx, findTimeout)
	defer cancel()
	if err := s.fetch(ctx); err != nil {
		return &signingkey.Unavailable{Reason: "the external signer does not tell whether it has the key of the token", Cause: err}
	}
	return nil
}

// Run fetches the keys whenever the signer's refresh hint is over, until the context ends.
func (s *Signer) Run(ctx context.Context) {
	pause := s.keys.Load().refresh.Sub(s.now())
	for {
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		err := s.fetch(ctx)
		if err == nil {
			pause = s.keys.Load().refresh.Sub(s.now())
			continue
		}
		pause = retryFetch
		if ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "The keys of the external signer could not be fetched; the ones before stay in use", "again", retryFetch)
		}
	}
}
