// Package cache remembers values within a bound of bytes. What was not asked for again makes way first, then the least
// recently used, so that a flood of values that are asked for once does not push out those that are in use.
//
// The way is that of S3-FIFO (Yang et al., "FIFO queues are all you need for cache eviction", SOSP 2023): a new value is
// on probation in a small queue. One that is asked for there moves on to the main queue, the others are forgotten soon,
// but for a mark: whoever comes back while it is there needs no second probation. To be found costs a value nothing but a
// count, whereas in a list ordered by use it would be moved each time.
//
// A value is known by a SHA-256: what it is about, a token for one, is not kept.
package cache

import (
	"crypto/sha256"
	"encoding/binary"
	"sync"
	"unsafe"
)

// Key names a value. Of all its bytes some must be as good as random, which those of a SHA-256 are.
type Key [sha256.Size]byte

// place is where a shard has a value, and slot where it has the mark of one that is forgotten.
func (k *Key) place() uint64 { return binary.LittleEndian.Uint64(k[0:]) }
func (k *Key) slot() uint32  { return binary.LittleEndian.Uint32(k[8:]) }
func (k *Key) mark() uint32  { return binary.LittleEndian.Uint32(k[12:]) }
func (k *Key) shard() uint32 { return binary.LittleEndian.Uint32(k[16:]) }

// Cache remembers values. Its methods are safe for concurrent use.
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

// New returns a cache for values of limit bytes in all, with what the cache itself needs for each.
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

// Add remembers a value, in place of one of the same key. Size is about how many bytes the value takes beyond its own
// type: what it points to. A value larger than the whole cache, or its shard of a large one, is not remembered: it would
// push out all the others.
func (c *Cache[V]) Add(key Key, value V, size int) {
	c.of(&key).add(&entry[V]{key: key, value: value, size: size + c.overhead()})
}

// overhead is what each value takes beside what it points to.
func (c *Cache[V]) overhead() int { return classOf(int(unsafe.Sizeof(entry[V]{}))) + mapBytes }

// Remove forgets a value.
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
	forgotten []uint32 // marks, by slot

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
		// Two keys don't share a place unless somebody takes great pains; then the latter has it.
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

// evict makes room: it forgets a value, or gives one that was used another turn.
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

// drop forgets an entry. The lock is held.
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
