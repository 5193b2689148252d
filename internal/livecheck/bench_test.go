package livecheck_test

import (
	"strings"
	"testing"
	"time"
)

// BenchmarkRemembered is the price of a live check whose answer is remembered, for a token of usual length.
func BenchmarkRemembered(b *testing.B) {
	checker, stored := newChecker()
	stored.put("east", kubeconfig("https://east.example", "credential", nil))
	checker.With(roundTripper(yes))
	of, long, local := issuer("east", time.Hour, ""), strings.Repeat(token, 15), verified()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := checker.Confirm(b.Context(), of, long, asked, local, nil); err != nil {
			b.Fatal(err)
		}
	}
}
