// Package lru remembers values within a bound of bytes, the least recently used ones making way (LRU).
//
// A value is known by a SHA-256: what it is about, a token for one, is not kept.
package lru

import (
	"container/list"
	"crypto/sha256"
	"sync"
)

// Key names a value.
type Key [sha256.Size]byte

// Cache remembers values. Its methods are safe for concurrent use.
type Cache[V any] struct {
	limit int

	mu      sync.Mutex
	size    int
	recent  *list.List // of *entry[V], most recently used first
	entries map[Key]*list.Element
}

type entry[V any] struct {
	key   Key
	value V
	size  int
}

// New returns a cache for values of limit bytes in all.
func New[V any](limit int) *Cache[V] {
	return &Cache[V]{limit: limit, recent: list.New(), entries: map[Key]*list.Element{}}
}

// Get returns a value, which is then the most recently used one.
func (c *Cache[V]) Get(key Key) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	element, ok := c.entries[key]
	if !ok {
		var none V
		return none, false
	}
	c.recent.MoveToFront(element)
	return element.Value.(*entry[V]).value, true
}

// Add remembers a value of about size bytes, in place of one of the same key. A value larger than the whole cache is not
// remembered: it would push out all the others.
func (c *Cache[V]) Add(key Key, value V, size int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
	if size > c.limit {
		return
	}
	c.entries[key] = c.recent.PushFront(&entry[V]{key: key, value: value, size: size})
	c.size += size
	for c.size > c.limit {
		c.remove(c.recent.Back().Value.(*entry[V]).key)
	}
}

// Remove forgets a value.
func (c *Cache[V]) Remove(key Key) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.remove(key)
}

// remove forgets a value. The lock is held.
func (c *Cache[V]) remove(key Key) {
	element, ok := c.entries[key]
	if !ok {
		return
	}
	c.size -= c.recent.Remove(element).(*entry[V]).size
	delete(c.entries, key)
}

// Size returns how many bytes the values take, as they were added, and how many values there are.
func (c *Cache[V]) Size() (bytes, values int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.size, len(c.entries)
}
