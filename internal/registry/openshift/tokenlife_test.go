package openshift

import (
	"math"
	"testing"
	"time"
)

func TestLease(t *testing.T) {
	created := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name      string
		expiresIn int64
		age       time.Duration
		want      uint64
	}{
		{"for ever", 0, time.Hour, 0},
		{"negative", -1, time.Hour, 0},
		{"new", 600, 0, 600},
		{"within the first second", 600, 999 * time.Millisecond, 600},
		{"after it", 600, time.Second, 599},
		{"a refresh", 86400, time.Hour, 82800},
		{"nearly over", 600, 599*time.Second + 999*time.Millisecond, 1},
		{"over", 600, 600 * time.Second, 1},
		{"long over", 600, 600 * time.Hour, 1},
		{"a clock that is behind", 600, -time.Hour, 600},
		{"longest", maxExpiresIn, 0, 8_999_999_940},
		{"longer than can be", math.MaxInt64, 0, 8_999_999_940},
	} {
		if got := lease(test.expiresIn, created, created.Add(test.age)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
