package lru_test

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/mintmark/mintmark/internal/lru"
)

// model is the cache in its plainest form: a list, most recently used first.
type model struct {
	limit int
	items []item
}

type item struct {
	key   lru.Key
	value int
	size  int
}

func (m *model) find(key lru.Key) int {
	return slices.IndexFunc(m.items, func(i item) bool { return i.key == key })
}

func (m *model) get(key lru.Key) (int, bool) {
	i := m.find(key)
	if i < 0 {
		return 0, false
	}
	found := m.items[i]
	m.items = slices.Insert(slices.Delete(m.items, i, i+1), 0, found)
	return found.value, true
}

func (m *model) remove(key lru.Key) {
	if i := m.find(key); i >= 0 {
		m.items = slices.Delete(m.items, i, i+1)
	}
}

func (m *model) add(key lru.Key, value, size int) {
	m.remove(key)
	if size > m.limit {
		return
	}
	m.items = slices.Insert(m.items, 0, item{key, value, size})
	for m.size() > m.limit {
		m.items = m.items[:len(m.items)-1]
	}
}

func (m *model) size() int {
	size := 0
	for _, i := range m.items {
		size += i.size
	}
	return size
}

// TestAgainstAModel adds, gets and removes at random.
func TestAgainstAModel(t *testing.T) {
	const limit = 1000
	random := rand.New(rand.NewPCG(1, 2))
	cache, want := lru.New[int](limit), &model{limit: limit}
	full := 0
	for step := range 50_000 {
		key := lru.Key{byte(random.IntN(40))}
		switch random.IntN(4) {
		case 0:
			size := random.IntN(100)
			if random.IntN(50) == 0 {
				size = limit + random.IntN(2) // just fits, or not
			}
			cache.Add(key, step, size)
			want.add(key, step, size)
		case 1:
			cache.Remove(key)
			want.remove(key)
		default:
			got, ok := cache.Get(key)
			if value, known := want.get(key); got != value || ok != known {
				t.Fatalf("step %d: got %d, %t; want %d, %t", step, got, ok, value, known)
			}
		}
		bytes, values := cache.Size()
		if bytes != want.size() || values != len(want.items) || bytes > limit {
			t.Fatalf("step %d: %d bytes in %d values, want %d in %d", step, bytes, values, want.size(), len(want.items))
		}
		if bytes > limit*9/10 {
			full++
		}
	}
	if full == 0 {
		t.Error("the bound was never reached")
	}
}

func TestManyAtOnce(t *testing.T) {
	cache := lru.New[int](1000)
	done := make(chan struct{})
	for range 8 {
		go func() {
			defer func() { done <- struct{}{} }()
			for i := range 5_000 {
				key := lru.Key{byte(rand.IntN(50))}
				cache.Add(key, i, rand.IntN(100))
				cache.Get(key)
				cache.Remove(lru.Key{byte(rand.IntN(50))})
			}
		}()
	}
	for range 8 {
		<-done
	}
	if bytes, _ := cache.Size(); bytes < 0 || bytes > 1000 {
		t.Errorf("%d bytes", bytes)
	}
}
