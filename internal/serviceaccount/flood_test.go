package serviceaccount_test

import (
	"crypto/rand"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/serviceaccount"
)

// TestFloods has tokens in use while others come in that are seen once: many times as many as there is room for, and all
// of them good, or not worth a signature check, or checked in vain. Memory stays as it is, and the signatures of the
// tokens in use are hardly ever checked again.
func TestFloods(t *testing.T) {
	const room, inUse, flood = 1 << 20, 300, 1500
	for name, one := range map[string]func() string{
		"good": func() string { return issued(goodClaims(member{"jti", `"` + rand.Text() + `"`})) },
		"good and large": func() string {
			return issued(goodClaims(member{"aud", `["api","` + strings.Repeat(rand.Text(), 100) + `"]`}))
		},
		"no tokens": rand.Text,
		"forged": func() string {
			return encode(goodHeader("P-256")) + "." + encode(goodClaims()) + "." + encode(strings.Repeat(rand.Text(), 3)[:64])
		},
	} {
		t.Run(name, func(t *testing.T) {
			keys := &counting{}
			s := newServer(t, func(cfg *serviceaccount.Config) {
				keys.KeySet, cfg.Keys, cfg.CacheBytes = cfg.Keys, keys, room
			})
			tokens := make([]string, inUse)
			for i := range tokens {
				tokens[i] = issued(goodClaims(member{"jti", fmt.Sprintf(`"%d"`, i)}))
			}
			checks, reviews := 0, 0
			review := func(i int) {
				before := keys.checked
				if got := s.reviewOnly(tokens[i%inUse]); !got.Authenticated {
					t.Fatalf("refused: %s", got.Error)
				}
				checks, reviews = checks+keys.checked-before, reviews+1
			}
			for i := range 2 * inUse {
				review(i)
			}
			if checks != inUse {
				t.Fatalf("%d signatures were checked of %d tokens", checks, inUse)
			}
			checks, reviews = 0, 0
			var memory [2]int
			for phase := range memory {
				for i := range flood {
					s.reviewOnly(one())
					if i%3 == 0 {
						review(reviews)
					}
				}
				memory[phase] = heap()
			}
			if checks > reviews/100 {
				t.Errorf("in %d reviews of tokens in use, their signatures were checked %d times", reviews, checks)
			}
			// The first phase has filled what there is to fill.
			if grown := memory[1] - memory[0]; grown > room/4 {
				t.Errorf("memory has grown by %d bytes during the flood", grown)
			}
			runtime.KeepAlive(s)
		})
	}
}

// heap is what is in use of the heap.
func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
