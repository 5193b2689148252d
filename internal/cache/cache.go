// Package cache provides a byte-bounded cache with S3-FIFO eviction (Yang et al., "FIFO queues are all you need for cache
// eviction", SOSP 2023): new entries enter a small queue, a hit there moves them to the main queue, evicted ones leave a
// fingerprint that lets them skip the small queue. So a flood of values that are asked for once does not evict the values in
// use. A hit only adds to a count; a list ordered by use would move the entry each time.
//
// Keys are SHA-256 sums, so the cache does not hold the tokens that its values are about.
//
// docs/decisions/cache.md says why this is no library.
package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"unsafe"
)

// Key names a value. Its bytes choose shard, place and slot, so they must be as good as random: a SHA-256 is.
type Key [sha256.Size]byte

// KeyOf returns the key of what is known about a token. A salt that callers don't know keeps them from looking for tokens that
// collide; all salts of a cache have one length. The token is hashed where it is, since a copy would be cleared, filled, and make
// the stacks of goroutines grow.
func KeyOf(salt []byte, token string) (key Key) {
	sum := sha256.New()
	sum.Write(salt)
	sum.Write(unsafe.Slice(unsafe.StringData(token), len(token))) //nolint:gosec // Write only reads
	sum.Sum(key[:0])
	return key
}

// place is the key of a value in its shard, slot the index of the fingerprint that an evicted value leaves.
func (k *Key) place() uint64 { return binary.LittleEndian.Uint64(k[0:]) }
func (k *Key) slot() uint32  { return binary.LittleEndian.Uint32(k[8:]) }
func (k *Key) mark() uint32  { return binary.LittleEndian.Uint32(k[12:]) }
func (k *Key) shard() uint32 { return binary.LittleEndian.Uint32(k[16:]) }

// Cache holds values. Its methods are safe for concurrent use.
type Cache[V any] struct {
	shards []shard[V] // a power of two
}

const (
	// Shards have a lock each. There is one for every shardBytes of the limit, and at most maxShards.
	shardBytes, maxShards = 1 << 20, 16
	// mapBytes is about what an entry takes in the map: a slot and its control byte, in tables that are 7/16 to 7/8 full.
	mapBytes = 28
)

// DefaultBytes is the bound of a cache of what was found out about tokens, unless a configuration names another.
const DefaultBytes = 16 << 20

// New returns a cache for limit bytes of values, the cache's own overhead for each value included.
func New[V any](limit int) *Cache[V] {
	n := 1
	for n < maxShards && n*2*shardBytes <= limit {
		n *= 2
	}
	c := &Cache[V]{shards: make([]shard[V], n)}
	for i := range c.shards {
		c.shards[i].init(limit / n)
	}
	return c
}

func (c *Cache[V]) of(key *Key) *shard[V] {
	return &c.shards[key.shard()&uint32(len(c.shards)-1)]
}

// Get returns a value.
func (c *Cache[V]) Get(key Key) (V, bool) { return c.of(&key).get(&key) }

// Add keeps a value, in place of one of the same key. Size is about how many bytes the value points to, beyond its own
// type. A value larger than its shard, which in a small cache is the whole cache, is not kept: it would evict all others.
func (c *Cache[V]) Add(key Key, value V, size int) {
	c.of(&key).add(&entry[V]{key: key, value: value, size: size + c.overhead()})
}

// overhead is about how many bytes each entry takes by itself.
func (c *Cache[V]) overhead() int { return classOf(int(unsafe.Sizeof(entry[V]{}))) + mapBytes }

// Remove drops a value.
func (c *Cache[V]) Remove(key Key) { c.of(&key).remove(&key) }

// Size returns how many bytes the values take and how many values there are.
func (c *Cache[V]) Size() (bytes, values int) {
	for i := range c.shards {
		b, n := c.shards[i].held()
		bytes, values = bytes+b, values+n
	}
	return bytes, values
}

// classOf is about what Go's allocator takes for so many bytes: its size classes are 16 bytes apart up to 256.
func classOf(size int) int { return (size + 15) &^ 15 }

// shard is a part of the cache: the values whose keys belong there.
type shard[V any] struct {
	limit, probation int // bytes in all, and in the small queue

	mu        sync.Mutex
	entries   map[uint64]*entry[V] // by place
	fresh     queue[V]
	main      queue[V]
	forgotten []uint32 // fingerprints of evicted values, by slot

	_ [64]byte // keeps the locks of neighbors apart
}

type entry[V any] struct {
	key        Key
	value      V
	size       int
	prev, next *entry[V]
	uses       uint8 // since it came to its queue or was passed there, maxUses at most
	proven     bool  // is in the main queue
}

const (
	// probationShare of the bytes are for new values.
	probationShare = 10
	// maxUses is how often a value may be passed by in the main queue without being used again.
	maxUses = 3
	// One mark is kept for every markBytes of the limit, a guess at the size of a small value, but at most maxMarks.
	markBytes, maxMarks = 512, 1 << 16
)

func (s *shard[V]) init(limit int) {
	s.limit, s.probation = limit, limit/probationShare
	s.entries = map[uint64]*entry[V]{}
	s.fresh.init()
	s.main.init()
	s.forgotten = make([]uint32, max(1, min(limit/markBytes, maxMarks)))
}

func (s *shard[V]) get(key *Key) (value V, ok bool) {
	s.mu.Lock()
	if e := s.entries[key.place()]; e != nil && e.key == *key {
		e.uses = min(e.uses+1, maxUses)
		value, ok = e.value, true
	}
	s.mu.Unlock()
	return value, ok
}

func (s *shard[V]) add(e *entry[V]) {
	s.mu.Lock()
	defer s.mu.Unlock()
	place := e.key.place()
	if old := s.entries[place]; old != nil {
		// Two keys share a place only if somebody searched for such a pair; then the latter has it.
		if old.key == e.key {
			e.uses, e.proven = old.uses, old.proven
		}
		s.drop(old)
	}
	if e.size > s.limit {
		return
	}
	if mark := s.marked(&e.key); *mark == e.key.mark() {
		*mark, e.proven = 0, true
	}
	s.entries[place] = e
	s.queueOf(e).push(e)
	for s.fresh.size+s.main.size > s.limit {
		s.evict()
	}
}

// evict takes the oldest value of a queue: it drops the value, or moves it to the head of the main queue if it was used.
func (s *shard[V]) evict() {
	from := &s.main
	if s.fresh.size > s.probation || s.main.size == 0 {
		from = &s.fresh
	}
	e := from.root.prev
	switch {
	case e.uses == 0:
		if !e.proven {
			*s.marked(&e.key) = e.key.mark()
		}
		s.drop(e)
	case e.proven:
		e.uses--
		s.main.remove(e)
		s.main.push(e)
	default:
		s.fresh.remove(e)
		e.uses, e.proven = 0, true
		s.main.push(e)
	}
}

func (s *shard[V]) marked(key *Key) *uint32 {
	return &s.forgotten[key.slot()%uint32(len(s.forgotten))]
}

func (s *shard[V]) queueOf(e *entry[V]) *queue[V] {
	if e.proven {
		return &s.main
	}
	return &s.fresh
}

func (s *shard[V]) remove(key *Key) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e := s.entries[key.place()]; e != nil && e.key == *key {
		s.drop(e)
	}
}

// drop removes an entry. The caller holds the lock.
func (s *shard[V]) drop(e *entry[V]) {
	s.queueOf(e).remove(e)
	delete(s.entries, e.key.place())
}

func (s *shard[V]) held() (bytes, values int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fresh.size + s.main.size, len(s.entries)
}

// queue is entries in the order in which they came, the first behind root.prev.
type queue[V any] struct {
	root entry[V] // of a ring
	size int
}

func (q *queue[V]) init() { q.root.prev, q.root.next = &q.root, &q.root }

func (q *queue[V]) push(e *entry[V]) {
	e.prev, e.next = &q.root, q.root.next
	e.prev.next, e.next.prev = e, e
	q.size += e.size
}

func (q *queue[V]) remove(e *entry[V]) {
	e.prev.next, e.next.prev = e.next, e.prev
	e.prev, e.next = nil, nil
	q.size -= e.size
}
