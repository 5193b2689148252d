package trustedissuer

import (
	"crypto/rand"
	"slices"
	"time"
	"unsafe"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/cache"
)

// verdict is what was found out about a token and can't change: it is a function of the token, the object and the key. It counts
// until the token ends, the object changes or the key is withdrawn.
type verdict struct {
	issuer *issuer
	key    *key
	user   user.Info
	// audiences are those of the token for which it can be good.
	audiences authenticator.Audiences
	// of are the audiences that the token names.
	of    []string
	until time.Time
}

// verdicts remembers verdicts of all issuers in one bounded store, under a keyed hash of the token.
type verdicts struct {
	store  *cache.Cache[*verdict]
	secret [16]byte // of the process, so that callers can't look for tokens that collide
}

func newVerdicts(limit int) verdicts {
	v := verdicts{store: cache.New[*verdict](limit)}
	_, _ = rand.Read(v.secret[:]) // never fails
	return v
}

func (v *verdicts) keyOf(token string) cache.Key { return cache.KeyOf(v.secret[:], token) }

// get returns a verdict that still counts.
func (v *verdicts) get(key cache.Key, now time.Time) (*verdict, bool) {
	known, ok := v.store.Get(key)
	if !ok {
		return nil, false
	}
	if known.issuer.gone.Load() || known.key.withdrawn.Load() || now.After(known.until) {
		v.store.Remove(key)
		return nil, false
	}
	return known, true
}

func (v *verdicts) add(key cache.Key, known *verdict) { v.store.Add(key, known, known.size()) }

// textBytes is about what a text takes beside its characters, in a list.
const textBytes = int(unsafe.Sizeof(""))

// size is about how much memory a verdict takes.
func (k *verdict) size() int {
	size := int(unsafe.Sizeof(*k))
	for _, audience := range k.of {
		size += textBytes + len(audience)
	}
	if !slices.Equal(k.audiences, k.of) {
		size += len(k.audiences) * textBytes
	}
	if sized, ok := k.user.(interface{ size() int }); ok {
		size += sized.size()
	}
	return size
}
