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
		{name: "for ever", age: time.Hour},
		{name: "negative", expiresIn: -1, age: time.Hour},
		{name: "new", expiresIn: 600, want: 600},
		{name: "within the first second", expiresIn: 600, age: 999 * time.Millisecond, want: 600},
		{name: "after it", expiresIn: 600, age: time.Second, want: 599},
		{name: "a refresh", expiresIn: 86400, age: time.Hour, want: 82800},
		{name: "nearly over", expiresIn: 600, age: 599*time.Second + 999*time.Millisecond, want: 1},
		{name: "over", expiresIn: 600, age: 600 * time.Second, want: 1},
		{name: "long over", expiresIn: 600, age: 600 * time.Hour, want: 1},
		{name: "a clock that is behind", expiresIn: 600, age: -time.Hour, want: 600},
		{name: "longest", expiresIn: maxExpiresIn, want: 8_999_999_940},
		{name: "longer than can be", expiresIn: math.MaxInt64, want: 8_999_999_940},
	} {
		if got := lease(test.expiresIn, created, created.Add(test.age)); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
