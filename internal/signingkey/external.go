package signingkey

import (
	"context"
	"crypto"
	"errors"
	"slices"
	"time"
)

// Trusted are the keys whose tokens are accepted, for another server that is to accept them.
type Trusted struct {
	Keys []PublicKey
	// ChangedAt is when the keys last changed. It never goes back in the life of a ring.
	ChangedAt time.Time
	// MaxAge is how long relying parties may keep what is published of them.
	MaxAge time.Duration
}

// succeededBy returns what is trusted after a change of the source.
func (t Trusted) succeededBy(keys []PublicKey, maxAge time.Duration, now time.Time) Trusted {
	next := Trusted{Keys: keys, ChangedAt: t.ChangedAt, MaxAge: maxAge}
	same := func(a, b PublicKey) bool { return a.ID == b.ID && a.Hidden == b.Hidden && sameKey(a.Public, b.Public) }
	if t.ChangedAt.IsZero() || !slices.EqualFunc(t.Keys, keys, same) {
		next.ChangedAt = now
		if earliest := t.ChangedAt.Add(time.Microsecond); now.Before(earliest) {
			next.ChangedAt = earliest // the clock went back
		}
	}
	return next
}

// Trusted returns the keys whose tokens are accepted.
func (r *Ring) Trusted() (Trusted, error) {
	s := r.fresh()
	if s.published == nil {
		return Trusted{}, errUnread
	}
	return s.trusted, nil
}

// jwtSigner is a TokenSigner that can put "typ": "JWT" into the header.
type jwtSigner interface {
	SignJWT(ctx context.Context, claims []byte, end time.Time) (token, keyID string, err error)
}

// SignJWT is Sign with "typ": "JWT" in the header of the token. It returns the key id, too.
func (r *Ring) SignJWT(ctx context.Context, algorithm string, claims []byte, end time.Time) (token, keyID string, err error) {
	return r.sign(ctx, algorithm, claims, end, true)
}

func signJWT(ctx context.Context, signer TokenSigner, claims []byte, end time.Time) (token, keyID string, err error) {
	typed, ok := signer.(jwtSigner)
	if !ok {
		return "", "", errors.New("the keys are an external signer's, which signs for this server only")
	}
	return typed.SignJWT(ctx, claims, end)
}

// SignJWT returns the token with "typ": "JWT" in its header.
func (p plainSigner) SignJWT(ctx context.Context, claims []byte, _ time.Time) (token, keyID string, err error) {
	token, err = p.Signer.SignJWT(ctx, claims)
	return token, p.id, err
}

// CheckPublic returns an error unless tokens can be verified with a key.
func CheckPublic(public crypto.PublicKey) error {
	_, err := algorithmFor(public)
	return err
}

// Verifies reports whether a key made a signature with an algorithm.
func Verifies(public crypto.PublicKey, algorithm, signed, signature string) bool {
	return (&Key{public: public}).verify(algorithm, signed, signature)
}
