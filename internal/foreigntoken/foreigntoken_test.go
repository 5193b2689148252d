package foreigntoken_test

import (
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/foreigntoken"
)

// TestIssuer: the issuer is read of tokens in compact serialization alone.
func TestIssuer(t *testing.T) {
	for token, want := range map[string]string{
		"e30.eyJpc3MiOiJhIn0.c2ln":                         "a",
		"e30.eyJpc3MiOiJhY2NvdW50cy5nb29nbGUuY29tIn0.c2ln": "https://accounts.google.com",
		"e30.e30.c2ln": "",
	} {
		if got, ok := foreigntoken.Issuer(token); !ok || got != want {
			t.Errorf("%s: %q %v", token, got, ok)
		}
	}
	for _, token := range []string{"", ".", "..", "a.b", "a.b.c.d", "e30.!.c2ln", "e30.W10.c2ln", strings.Repeat("a", 2<<20) + ".e30.c"} {
		if got, ok := foreigntoken.Issuer(token); ok {
			t.Errorf("%.20s: %v", token, got)
		}
	}
}
