package apiserver

import "testing"

// TestGCPercent: a small heap may leave much garbage, and a large one what Go lets it leave.
func TestGCPercent(t *testing.T) {
	for live, want := range map[uint64]int{0: 600, 1 << 20: 600, 16 << 20: 600, 32 << 20: 300, 64 << 20: 150, 96 << 20: 100, 1 << 30: 100} {
		if got := gcPercent(live); got != want {
			t.Errorf("%d bytes in use: %d %%, want %d %%", live, got, want)
		}
	}
}
