package view

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"iter"
	"maps"
	"slices"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// NewPacked returns a view for a resource that may have a million objects. It keeps digests of the objects' names instead of the
// names, so it has neither Keys nor Links, and instead of handlers it has one function: changed is told, while the view is
// locked, of the record that an object had and of the one that it has now, nil for none. Changed must return quickly and must
// not ask the view.
//
// An object that can't be read any more keeps the record that it had. So the resource must be one whose objects don't change.
//
// Read may be nil. It is a shorter way to the record of an object from the bytes that are stored, for a list of a million of
// them. If it reports false, the object is decoded as any other.
func NewPacked[T any](resource schema.GroupResource, clusterScoped bool, record func(runtime.Object) T,
	read func(Key, []byte) (T, bool), changed func(before, after *T),
) *View[T] {
	v := New(resource, clusterScoped, record)
	v.objects = table[T]{packed: &packed[T]{read: read, changed: changed, entries: map[digest]small[T]{}}}
	_, _ = rand.Read(v.objects.packed.secret[:]) // never fails
	return v
}

// table holds the entries of a view.
type table[T any] struct {
	entries map[Key]entry[T]
	packed  *packed[T] // nil for most views
}

// packed is the form of a table that takes the least memory.
type packed[T any] struct {
	read    func(Key, []byte) (T, bool)
	changed func(before, after *T)
	entries map[digest]small[T]
	secret  [16]byte // of the process, so that callers can't look for names that collide
}

// digest is a part of the keyed SHA-256 of a key. Two of a million keys have the same one with a chance of 1 to 10^12.
type digest [10]byte

// small is an entry whose version has six bytes, which is enough for ten thousand writes a second over eight hundred years.
type small[T any] struct {
	record  T
	version [6]byte
}

func (p *packed[T]) digest(key Key) (d digest) {
	sum := sha256.Sum256(slices.Concat(p.secret[:], []byte(key.Namespace), []byte{'/'}, []byte(key.Name)))
	copy(d[:], sum[:])
	return d
}

func (s *small[T]) at() uint64 {
	return uint64(binary.BigEndian.Uint16(s.version[:2]))<<32 | uint64(binary.BigEndian.Uint32(s.version[2:]))
}

func (t *table[T]) get(key Key) (entry[T], bool) {
	if t.packed == nil {
		e, ok := t.entries[key]
		return e, ok
	}
	s, ok := t.packed.entries[t.packed.digest(key)]
	return entry[T]{record: s.record, version: s.at()}, ok
}

func (t *table[T]) len() int {
	if t.packed == nil {
		return len(t.entries)
	}
	return len(t.packed.entries)
}

// reserve makes an empty table ready for so many entries: a map that grows to a million is copied twenty times.
func (t *table[T]) reserve(n int) {
	if t.packed == nil {
		t.entries = make(map[Key]entry[T], n)
	}
}

func (t *table[T]) put(key Key, e entry[T]) {
	p := t.packed
	if p == nil {
		t.entries[key] = e
		return
	}
	s := small[T]{record: e.record}
	binary.BigEndian.PutUint16(s.version[:2], uint16(e.version>>32))
	binary.BigEndian.PutUint32(s.version[2:], uint32(e.version))
	d := p.digest(key)
	before, had := p.entries[d]
	p.entries[d] = s
	p.change(had, &before.record, &e.record)
}

func (t *table[T]) remove(key Key) {
	if p := t.packed; p != nil {
		p.remove(p.digest(key))
		return
	}
	delete(t.entries, key)
}

func (p *packed[T]) remove(d digest) {
	if before, had := p.entries[d]; had {
		delete(p.entries, d)
		p.change(had, &before.record, nil)
	}
}

func (p *packed[T]) change(had bool, before, after *T) {
	if !had {
		before = nil
	}
	p.changed(before, after)
}

// all are the entries of a table that is not packed.
func (t *table[T]) all() iter.Seq2[Key, entry[T]] { return maps.All(t.entries) }

// retain removes the entries of a packed table whose objects are not stored at a version, and that are not younger. The
// objects that are stored are those of the list and those that can't be read.
func (p *packed[T]) retain(list *list[T], version uint64) {
	there := map[digest]struct{}{}
	for l := range list.all() {
		there[p.digest(l.key)] = struct{}{}
	}
	for key := range list.bad {
		there[p.digest(key)] = struct{}{}
	}
	for d, s := range p.entries {
		if _, ok := there[d]; !ok && s.at() <= version {
			p.remove(d)
		}
	}
}

// clear removes everything from a packed table.
func (p *packed[T]) clear() {
	for d := range p.entries {
		p.remove(d)
	}
}
