package authn

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"

	"github.com/mintmark/mintmark/internal/cache"
)

const (
	// cacheBytes is the default bound of a store's memory.
	cacheBytes = cache.DefaultBytes
	// Beside its texts, a verdict takes about verdictOverhead, a response and a user together responseOverhead, and a
	// small map mapOverhead.
	verdictOverhead, responseOverhead, mapOverhead = 80, 112, 360
	// textOverhead is about what a text takes beside itself, in a list or a map.
	textOverhead = 32
)

// cacheStore holds verdicts until they end. It holds a keyed hash of each token, never the token.
type cacheStore struct {
	verdicts *cache.Cache[timed]
	secret   [sha256.Size]byte
}

// timed is a verdict and when it ends.
type timed struct {
	verdict *verdict
	until   time.Time
}

// newCacheStore returns a store of about limit bytes; 0 means 16 MiB.
func newCacheStore(limit int) *cacheStore {
	if limit == 0 {
		limit = cacheBytes
	}
	s := &cacheStore{verdicts: cache.New[timed](limit)}
	_, _ = rand.Read(s.secret[:]) // never fails
	return s
}

// key returns the key of a question: of the token, of the audiences in their order, and of whether there are audiences at
// all. Each part is preceded by its length and the audiences by their number, so that no two questions share a key. The
// hash has a secret key, so that callers can't look for tokens that collide.
func (s *cacheStore) key(token string, audiences authenticator.Audiences, limited bool) cache.Key {
	hash := hmac.New(sha256.New, s.secret[:])
	var length [8]byte
	number := func(n int) {
		binary.BigEndian.PutUint64(length[:], uint64(n))
		_, _ = hash.Write(length[:]) // never fails
	}
	text := func(t string) {
		number(len(t))
		_, _ = hash.Write([]byte(t)) // never fails
	}
	text(token)
	if limited {
		number(1 + len(audiences))
	} else {
		number(0)
	}
	for _, audience := range audiences {
		text(audience)
	}
	return cache.Key(hash.Sum(nil))
}

// get returns a verdict that has not ended.
func (s *cacheStore) get(key cache.Key) (*verdict, bool) {
	known, ok := s.verdicts.Get(key)
	if !ok {
		return nil, false
	}
	if !time.Now().Before(known.until) {
		s.verdicts.Remove(key)
		return nil, false
	}
	return known.verdict, true
}

// add stores a verdict for a time.
func (s *cacheStore) add(key cache.Key, v *verdict, ttl time.Duration) {
	if ttl > 0 {
		s.verdicts.Add(key, timed{verdict: v, until: time.Now().Add(ttl)}, v.size())
	}
}

// size is about how much memory a verdict takes.
func (v *verdict) size() int {
	size := verdictOverhead
	texts := func(list ...string) {
		for _, text := range list {
			size += textOverhead + len(text)
		}
	}
	if len(v.annotations) > 0 {
		size += mapOverhead
	}
	for name, value := range v.annotations {
		texts(name, value)
	}
	for _, w := range v.warnings {
		texts(w.agent, w.text)
	}
	if v.response == nil {
		return size
	}
	size += responseOverhead
	texts(v.response.Audiences...)
	if info := v.response.User; info != nil {
		texts(info.GetName(), info.GetUID())
		texts(info.GetGroups()...)
		if len(info.GetExtra()) > 0 {
			size += mapOverhead
		}
		for key, values := range info.GetExtra() {
			texts(key)
			texts(values...)
		}
	}
	return size
}
