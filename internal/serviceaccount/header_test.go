package serviceaccount

import (
	"fmt"
	"strings"
	"testing"
)

// TestHeadersAreBounded: however many kinds of headers good tokens have, few are remembered, and all are read.
func TestHeadersAreBounded(t *testing.T) {
	var known headers
	known.add(strings.Repeat("x", plainLength+1), header{})
	if n := len(known.all()); n != 0 {
		t.Errorf("%d long ones are remembered", n)
	}
	for i := range 3 * maxHeaders {
		id := fmt.Sprint(i)
		encoded := encoding.EncodeToString([]byte(`{"alg":"ES256","kid":"` + id + `"}`))
		for range 2 {
			read, ok := known.read(encoded)
			if want := (header{algorithm: "ES256", keyID: id}); !ok || read != want {
				t.Fatalf("read %+v, %t, want %+v", read, ok, want)
			}
			known.add(encoded, read)
		}
	}
	if n := len(known.all()); n != maxHeaders {
		t.Errorf("%d are remembered, want %d", n, maxHeaders)
	}
}
