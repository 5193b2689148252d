package serviceaccount_test

import (
	"strings"
	"testing"
)

// BenchmarkReview reviews a token in the process. Whatever is refused must not cost more than what is good.
func BenchmarkReview(b *testing.B) {
	s := newServer(b)
	good := issued(goodClaims())
	foreign := issued(goodClaims(member{"iss", `"https://elsewhere.example"`}))
	header, rest, _ := strings.Cut(good, ".")
	for _, test := range []struct {
		name, token, want string
	}{
		{"good", good, accepted},
		{"shapeless", "neither-a-token-nor-anything-else", notOurs},
		{"unknown issuer", foreign, notOurs},
		{"unknown key", encode(`{"alg":"ES256","kid":"unknown"}`) + "." + rest, noKey},
		{"no header", header[1:] + "." + rest, notOurs},
	} {
		b.Run(test.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got := s.reviewOnly(test.token); got.Error != test.want {
					b.Fatalf("error %q, want %q", got.Error, test.want)
				}
			}
		})
	}
}
