package signingkey

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/singleflight"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// managedSigner signs with one managed key. Before it signs a token, the store has the end of the token on record
// (status.tokensUntil), or that there is one without end (status.legacyTokens): no replica then withdraws the key while the
// token can live, whatever it knows else.
type managedSigner struct {
	managed     *Managed
	name, keyID string

	until  atomic.Int64 // status.tokensUntil in seconds, as far as is known
	legacy atomic.Bool  // status.legacyTokens
	// extending is set while the record is extended ahead of need.
	extending atomic.Bool
	private   atomic.Pointer[Signer]
	writing   singleflight.Group
	loading   sync.Mutex
}

const (
	// minStep and maxStep bound how much further than the end of a token the record goes when it is written. Within these
	// bounds it is the life of the token, so that tokens of the same life are on record for as long without a write.
	minStep, maxStep = time.Minute, time.Hour
	// writeTimeout bounds how long a token waits for its record.
	writeTimeout = 3 * time.Second
)

// record takes in what is stored.
func (s *managedSigner) record(key *v1alpha1.SigningKey) {
	var until int64
	if at := key.Status.TokensUntil; at != nil {
		until = at.Unix()
	}
	s.until.Store(until)
	s.legacy.Store(key.Status.LegacyTokens)
}

// Sign has the end of the token recorded, and signs.
func (s *managedSigner) Sign(ctx context.Context, claims []byte, end time.Time) (token, keyID string, err error) {
	return s.sign(ctx, (*Signer).Sign, claims, end)
}

// SignJWT is Sign with "typ": "JWT" in the header of the token.
func (s *managedSigner) SignJWT(ctx context.Context, claims []byte, end time.Time) (token, keyID string, err error) {
	return s.sign(ctx, (*Signer).SignJWT, claims, end)
}

func (s *managedSigner) sign(ctx context.Context, sign func(*Signer, context.Context, []byte) (string, error), claims []byte, end time.Time) (token, keyID string, err error) {
	if err := s.managed.Store.Ensure(ctx); err != nil {
		return "", "", errNotCurrent(err)
	}
	private := s.private.Load()
	if private == nil {
		if private, err = s.load(ctx); err != nil {
			return "", "", err
		}
	}
	if err := s.recordEnd(ctx, end); err != nil {
		return "", "", err
	}
	if token, err = sign(private, ctx, claims); err != nil {
		return "", "", err
	}
	// All of that may have taken long, and the key may have been given up meanwhile.
	if err := s.managed.Store.Ensure(ctx); err != nil {
		return "", "", errNotCurrent(err)
	}
	return token, s.keyID, nil
}

func errNotCurrent(cause error) error {
	return unavailable("the server can't tell which key signs now, since the store does not answer or has a key that can't be read; please try again later", cause)
}

// recordEnd returns when the store has the end of a token on record.
func (s *managedSigner) recordEnd(ctx context.Context, end time.Time) error {
	if end.IsZero() {
		if s.legacy.Load() {
			return nil
		}
		return s.write(ctx, "legacy", func(status *v1alpha1.SigningKeyStatus) bool {
			changed := !status.LegacyTokens
			status.LegacyTokens = true
			return changed
		})
	}
	step := min(max(end.Sub(s.managed.Now()), minStep), maxStep)
	left := s.until.Load() - end.Unix()
	if left >= int64(step.Seconds()/2) {
		return nil
	}
	extend := func(ctx context.Context) error {
		target := metav1.NewTime(end.Add(step).UTC().Truncate(time.Second))
		return s.write(ctx, "until", func(status *v1alpha1.SigningKeyStatus) bool {
			if status.TokensUntil != nil && !status.TokensUntil.Before(&target) {
				return false
			}
			status.TokensUntil = &target
			return true
		})
	}
	if left >= 0 {
		// This token is on record. The record is extended before there is one that isn't.
		if !s.extending.CompareAndSwap(false, true) {
			return nil
		}
		go func() {
			defer s.extending.Store(false)
			if err := extend(context.WithoutCancel(ctx)); err != nil {
				klog.FromContext(ctx).V(2).Info("The record of a signing key is not extended yet", "signingkey", s.name, "err", err)
			}
		}()
		return nil
	}
	// A write under way may be for a token that ends earlier.
	for range 3 {
		if err := extend(ctx); err != nil {
			return err
		}
		if s.until.Load() >= end.Unix() {
			return nil
		}
	}
	return unavailable("the end of the token could not be recorded in time, please try again later", nil)
}

// errKept is the error of a change that has nothing to change.
var errKept = errors.New("nothing to change")

// write changes the record of the key in the store. Calls that come together for the same part of it make one write.
func (s *managedSigner) write(ctx context.Context, part string, change func(*v1alpha1.SigningKeyStatus) bool) error {
	_, err, _ := s.writing.Do(part, func() (any, error) {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
		defer cancel()
		var stored *v1alpha1.SigningKey
		err := s.managed.Store.Update(ctx, s.name, func(key *v1alpha1.SigningKey) error {
			if key.Spec.KeyID != s.keyID || key.Status.State == v1alpha1.SigningKeyGone {
				return errGivenUp
			}
			stored = key
			if !change(&key.Status) {
				return errKept
			}
			return nil
		})
		if err == nil || errors.Is(err, errKept) {
			s.record(stored)
			return nil, nil
		}
		return nil, err
	})
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errGivenUp), apierrors.IsNotFound(err):
		return errGivenUp
	}
	return unavailable("the end of the token could not be recorded in the store, please try again later", err)
}

// errGivenUp says that the key was removed, or replaced by another of its name, behind this process.
var errGivenUp = unavailable("the signing key was given up a moment ago, please try again later", nil)

// load returns the private half.
func (s *managedSigner) load(ctx context.Context) (*Signer, error) {
	s.loading.Lock()
	defer s.loading.Unlock()
	if private := s.private.Load(); private != nil {
		return private, nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), writeTimeout)
	defer cancel()
	text, err := s.managed.Secrets.Get(ctx, SecretName(s.name))
	switch {
	case err != nil:
		klog.FromContext(ctx).V(2).Info("A private half can't be read", "signingkey", s.name, "err", err)
		return nil, unavailable("the private half of the signing key could not be read, please try again later", err)
	case text == nil:
		return nil, fmt.Errorf("the store has no private half of the signing key %s: make another key with 'mintmark keys rotate'", s.name)
	}
	key, err := ParsePrivate(text, "the private half of the signing key "+s.name)
	if err != nil {
		return nil, err
	}
	private, err := NewSigner(key)
	if err != nil {
		return nil, err
	}
	if private.id != s.keyID {
		return nil, fmt.Errorf("the private half of the signing key %s is that of another key: make another key with 'mintmark keys rotate'", s.name)
	}
	s.private.Store(private)
	return private, nil
}
