package authn

import (
	"container/list"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
)

const (
	// cacheBytes bounds the memory of a store, about.
	cacheBytes = 16 << 20
	// verdictOverhead is about what an entry takes beside its texts: the key twice, the list, the map, the structs.
	verdictOverhead = 700
	// textOverhead is about what a text takes beside itself, in a list or a map.
	textOverhead = 32
)

// cacheStore holds verdicts, the least recently used ones making way. It knows a token by a keyed hash alone.
type cacheStore struct {
	limit  int
	secret [sha256.Size]byte

	mu      sync.Mutex
	size    int
	recent  *list.List // of *cacheEntry, most recently used first
	entries map[cacheKey]*list.Element
}

type cacheKey [sha256.Size]byte

type cacheEntry struct {
	key     cacheKey
	verdict *verdict
	until   time.Time
	size    int
}

func newCacheStore(limit int) *cacheStore {
	s := &cacheStore{limit: limit, recent: list.New(), entries: map[cacheKey]*list.Element{}}
	_, _ = rand.Read(s.secret[:]) // never fails
	return s
}

// key names what a verdict is about: the token and the audiences in their order, and whether audiences were asked for
// at all. Each part is preceded by its length and the audiences by their number, so that no two questions share a key.
// The hash is keyed so that nobody outside can find tokens that collide, or test a guess against memory.
func (s *cacheStore) key(token string, audiences authenticator.Audiences, limited bool) cacheKey {
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
	return cacheKey(hash.Sum(nil))
}

// get returns the verdict that is remembered, if it still holds.
func (s *cacheStore) get(key cacheKey) (*verdict, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, ok := s.entries[key]
	if !ok {
		return nil, false
	}
	entry := element.Value.(*cacheEntry)
	if !time.Now().Before(entry.until) {
		s.remove(element)
		return nil, false
	}
	s.recent.MoveToFront(element)
	return entry.verdict, true
}

// add remembers a verdict for a time.
func (s *cacheStore) add(key cacheKey, v *verdict, ttl time.Duration) {
	size := v.size()
	if ttl <= 0 || size > s.limit {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if old, ok := s.entries[key]; ok {
		s.remove(old)
	}
	s.entries[key] = s.recent.PushFront(&cacheEntry{key: key, verdict: v, until: time.Now().Add(ttl), size: size})
	s.size += size
	for s.size > s.limit {
		s.remove(s.recent.Back())
	}
}

// remove forgets an entry. The caller holds the lock.
func (s *cacheStore) remove(element *list.Element) {
	entry := s.recent.Remove(element).(*cacheEntry)
	delete(s.entries, entry.key)
	s.size -= entry.size
}

// size is about how much memory a verdict takes.
func (v *verdict) size() int {
	size := verdictOverhead
	texts := func(list ...string) {
		for _, text := range list {
			size += textOverhead + len(text)
		}
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
	texts(v.response.Audiences...)
	if info := v.response.User; info != nil {
		texts(info.GetName(), info.GetUID())
		texts(info.GetGroups()...)
		for key, values := range info.GetExtra() {
			texts(key)
			texts(values...)
		}
	}
	return size
}
