package serviceaccount

import (
	"fmt"
	"testing"
)

// TestHeadersAreBounded: however many kinds of headers good tokens have, few are remembered, and all are read.
func TestHeadersAreBounded(t *testing.T) {
	var known headers
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
