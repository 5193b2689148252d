package cache_test

import (
	"crypto/sha256"
	"encoding/binary"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/mintmark/mintmark/internal/cache"
)

// keyOf is the key of the value that goes by a number.
func keyOf(n uint64) cache.Key {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, n))
}

// overhead is the size of a value that points to nothing.
func overhead() int {
	cached := cache.New[int](1000)
	cached.Add(keyOf(0), 0, 0)
	bytes, _ := cached.Size()
	return bytes
}

// TestAgainstAModel adds, gets and removes at random. The model remembers everything: the cache may forget, but it must
// not make up or mix up anything, and must not forget while there is room.
func TestAgainstAModel(t *testing.T) {
	const limit = 10_000
	type item struct{ value, size int }
	each := overhead()
	random := rand.New(rand.NewPCG(1, 2))
	cached, model := cache.New[int](limit), map[cache.Key]item{}
	held, full, found := 0, 0, 0 // held: what the model holds, in the cache's reckoning
	forget := func(key cache.Key) {
		if old, ok := model[key]; ok {
			held -= old.size + each
			delete(model, key)
		}
	}
	for step := range 50_000 {
		key := keyOf(random.Uint64N(200))
		switch random.IntN(4) {
		case 0:
			size := random.IntN(200)
			if random.IntN(50) == 0 {
				size = limit - each + random.IntN(2) // just fits, or not
			}
			cached.Add(key, step, size)
			forget(key)
			if size+each <= limit {
				model[key] = item{step, size}
				held += size + each
			}
		case 1:
			cached.Remove(key)
			forget(key)
		default:
			got, ok := cached.Get(key)
			want, known := model[key]
			if ok && (!known || got != want.value) || !ok && known && held <= limit {
				t.Fatalf("step %d: got %d, %t; want %d, %t, of %d bytes", step, got, ok, want.value, known, held)
			}
			if ok {
				found++
			}
		}
		bytes, values := cached.Size()
		if bytes > limit || bytes < 0 || values > len(model) {
			t.Fatalf("step %d: %d bytes in %d values", step, bytes, values)
		}
		if held > limit {
			full++
			// The model drops the values that the cache has evicted.
			for key := range model {
				if _, ok := cached.Get(key); !ok {
					forget(key)
				}
			}
			if got, _ := cached.Size(); got != held {
				t.Fatalf("step %d: %d bytes are reckoned with, %d are there", step, got, held)
			}
		}
	}
	if full < 100 || found < 1000 {
		t.Errorf("the bound was reached %d times, and %d values were found", full, found)
	}
}

// TestFloodOfOthers has a working set in use while values come in that are asked for once or not at all, many times as
// much as there is room for.
func TestFloodOfOthers(t *testing.T) {
	const limit = 4 << 20
	const size = 800
	working := uint64(limit * 8 / 10 / (size + overhead()))
	for name, flood := range map[string]func(*cache.Cache[int], cache.Key){
		"added":           func(c *cache.Cache[int], key cache.Key) { c.Add(key, 0, size) },
		"asked for first": func(c *cache.Cache[int], key cache.Key) { c.Get(key); c.Add(key, 0, size) },
		"large":           func(c *cache.Cache[int], key cache.Key) { c.Add(key, 0, 50*size) },
		"not there":       func(c *cache.Cache[int], key cache.Key) { c.Get(key) },
	} {
		t.Run(name, func(t *testing.T) {
			cached := cache.New[int](limit)
			use := func(n uint64) bool {
				_, ok := cached.Get(keyOf(n))
				if !ok {
					cached.Add(keyOf(n), int(n), size)
				}
				return ok
			}
			for range 2 {
				for n := range working {
					use(n)
				}
			}
			random := rand.New(rand.NewPCG(3, 4))
			hits := 0
			const uses = 200_000
			for i := range uint64(uses) {
				if use(random.Uint64N(working)) {
					hits++
				}
				flood(cached, keyOf(1<<32+i))
			}
			if hits < uses*99/100 {
				t.Errorf("%d of %d were found", hits, uses)
			}
		})
	}
}

// TestWorkingSetMoves: a new working set replaces the old one, even during a flood.
func TestWorkingSetMoves(t *testing.T) {
	const limit = 2 << 20
	const size = 800
	working := uint64(limit * 7 / 10 / (size + overhead()))
	cached := cache.New[int](limit)
	other := uint64(1 << 32)
	for era := range uint64(3) {
		hits := 0
		const rounds = 20
		for round := range rounds {
			for n := range working {
				key := keyOf(era<<20 + n)
				if _, ok := cached.Get(key); !ok {
					cached.Add(key, 0, size)
				} else if round == rounds-1 {
					hits++
				}
				if n%10 == 0 {
					cached.Add(keyOf(other), 0, size)
					other++
				}
			}
		}
		if hits < int(working)*99/100 {
			t.Errorf("of working set %d with %d values %d are there", era, working, hits)
		}
	}
}

// TestHeapIsWhatIsCounted compares the reckoning to the memory that is taken, while the cache fills and after many times
// as much has passed through it.
func TestHeapIsWhatIsCounted(t *testing.T) {
	const limit = 16 << 20
	const size = 256 // a size class of the allocator
	before := heap()
	cached := cache.New[*[size]byte](limit)
	var next uint64
	for _, values := range []int{20_000, 400_000, 400_000} {
		for range values {
			cached.Add(keyOf(next), &[size]byte{}, size)
			next++
		}
		taken := heap() - before
		counted, _ := cached.Size()
		if taken > counted*6/5 || taken < counted*4/5 {
			t.Errorf("after %d values, %d bytes are taken and %d counted", next, taken, counted)
		}
	}
	if counted, _ := cached.Size(); counted < limit*9/10 {
		t.Errorf("only %d bytes are in use", counted)
	}
	runtime.KeepAlive(cached)
}

func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}

func TestManyAtOnce(t *testing.T) {
	const limit = 2 << 20
	cached := cache.New[uint64](limit)
	var running sync.WaitGroup
	for range 8 {
		running.Go(func() {
			for range 10_000 {
				n := rand.Uint64N(500)
				cached.Add(keyOf(n), n, rand.IntN(10_000))
				if got, ok := cached.Get(keyOf(n)); ok && got != n {
					t.Errorf("%d is there as %d", n, got)
				}
				cached.Remove(keyOf(rand.Uint64N(500)))
			}
		})
	}
	running.Wait()
	for n := range uint64(500) {
		cached.Remove(keyOf(n))
	}
	if bytes, values := cached.Size(); bytes != 0 || values != 0 {
		t.Errorf("%d bytes in %d values are left", bytes, values)
	}
}

// TestNothingFits: with a limit too small for anything, nothing is remembered.
func TestNothingFits(t *testing.T) {
	for _, limit := range []int{0, 1, overhead() - 1} {
		cached := cache.New[int](limit)
		cached.Add(keyOf(1), 1, 0)
		if _, ok := cached.Get(keyOf(1)); ok {
			t.Errorf("with a limit of %d bytes, a value is remembered", limit)
		}
	}
}

// TestGetAllocatesNothing: Get is called for every token of every review.
func TestGetAllocatesNothing(t *testing.T) {
	cached := cache.New[*int](1 << 20)
	key := keyOf(1)
	cached.Add(key, new(int), 8)
	if n := testing.AllocsPerRun(1000, func() { cached.Get(key) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkGet(b *testing.B) {
	for name, values := range map[string]uint64{"hot": 100, "many": 10_000} {
		cached := cache.New[*int](16 << 20)
		keys := make([]cache.Key, values)
		for n := range keys {
			keys[n] = keyOf(uint64(n))
			cached.Add(keys[n], new(int), 600)
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				cached.Get(keys[i%len(keys)])
			}
		})
		b.Run(name+"/parallel", func(b *testing.B) {
			b.ReportAllocs()
			b.RunParallel(func(pb *testing.PB) {
				for i := rand.IntN(len(keys)); pb.Next(); i++ {
					cached.Get(keys[i%len(keys)])
				}
			})
		})
	}
}

func BenchmarkAdd(b *testing.B) {
	cached := cache.New[*int](16 << 20)
	keys := make([]cache.Key, 1<<17)
	for n := range keys {
		keys[n] = keyOf(uint64(n))
	}
	value := new(int)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		cached.Add(keys[i%len(keys)], value, 600)
	}
}
