package authn

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
)

// TestStoreCountsWhatItHolds compares the reckoning to the memory that verdicts take, and has many times as many pass
// through as there is room for.
func TestStoreCountsWhatItHolds(t *testing.T) {
	text := func(i int, what string) string { return fmt.Sprint(what, i) + strings.Repeat("x", 20) }
	for name, say := range map[string]func(i int) *verdict{
		"success": func(i int) *verdict {
			return &verdict{ok: true, response: &authenticator.Response{
				Audiences: authenticator.Audiences{text(i, "audience")},
				User: &user.DefaultInfo{
					Name: text(i, "name"), UID: text(i, "uid"), Groups: []string{text(i, "a"), text(i, "b")},
					Extra: map[string][]string{text(i, "key"): {text(i, "value")}},
				},
			}}
		},
		"large": func(i int) *verdict {
			return &verdict{ok: true, response: &authenticator.Response{User: &user.DefaultInfo{Name: text(i, strings.Repeat("n", 5000))}}}
		},
		"failure": func(int) *verdict { return &verdict{} },
	} {
		t.Run(name, func(t *testing.T) {
			store := newCacheStore(8 << 20)
			before := heap()
			for i := range 60_000 {
				store.add(store.key(fmt.Sprint(i), nil, false), say(i), time.Hour)
			}
			taken := heap() - before
			if counted, _ := store.verdicts.Size(); counted < 7<<20 || taken > counted*5/4 || taken < counted*4/5 {
				t.Errorf("%d bytes are taken, %d counted", taken, counted)
			}
			runtime.KeepAlive(store)
		})
	}
}

func heap() int {
	var stats runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&stats)
	return int(stats.HeapAlloc)
}
