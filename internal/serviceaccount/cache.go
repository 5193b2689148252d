package serviceaccount

import (
	"container/list"
	"crypto/sha256"
	"sync"

	"github.com/mintmark/mintmark/internal/boundobject"
)

// entryOverhead is about what an entry takes beside the text of its claims: the key twice, the list, the map, the structs.
const entryOverhead = 600

// stringHeader is what a string takes beside its text.
const stringHeader = 16

// cache remembers tokens whose signature was checked, the least recently used ones making way. It knows a token by its
// SHA-256 alone.
type cache struct {
	limit int

	mu      sync.Mutex
	size    int
	recent  *list.List // of *cached, most recently used first
	entries map[cacheKey]*list.Element
}

type cacheKey [sha256.Size]byte

type cached struct {
	key   cacheKey
	known facts
	size  int
}

func newCache(limit int) *cache {
	return &cache{limit: limit, recent: list.New(), entries: map[cacheKey]*list.Element{}}
}

func keyOf(token string) cacheKey { return sha256.Sum256([]byte(token)) }

func (c *cache) get(key cacheKey) (facts, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		return facts{}, false
	}
	c.recent.MoveToFront(element)
	return element.Value.(*cached).known, true
}

// add remembers what is known of a token.
func (c *cache) add(key cacheKey, known facts) {
	size := entryOverhead + known.size()
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, ok := c.entries[key]; ok || size > c.limit {
		return
	}
	c.entries[key] = c.recent.PushFront(&cached{key: key, known: known, size: size})
	c.size += size
	for c.size > c.limit {
		oldest := c.recent.Remove(c.recent.Back()).(*cached)
		delete(c.entries, oldest.key)
		c.size -= oldest.size
	}
}

// size is about how many bytes the claims take in memory, which is more than in a token of many short audiences.
func (f facts) size() int {
	size := 0
	text := func(values ...string) {
		for _, value := range values {
			size += stringHeader + len(value)
		}
	}
	if c := f.claims; c != nil {
		text(c.Issuer, c.Subject, c.ID, c.Binding.Namespace)
		text(c.Audiences...)
		for _, ref := range []boundobject.Ref{c.Binding.ServiceAccount, c.Binding.Pod, c.Binding.Secret, c.Binding.Node} {
			text(ref.Name, string(ref.UID))
		}
	}
	if c := f.legacy; c != nil {
		text(c.Issuer, c.Subject, c.Namespace, c.Name, c.UID, c.Secret)
		text(c.Audiences...)
	}
	return size
}
