package serviceaccount

import (
	"fmt"
	"strings"
	"testing"
)

// TestHeadersAreBounded: however many kinds of headers good tokens have, few are remembered, and all are read.
func TestHeadersAreBounded(t *testing.T) {
	var known headers
	live := &testKey{}
	known.add(strings.Repeat("x", plainLength+1), header{}, live)
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
			known.add(encoded, read, live)
		}
	}
	if n := len(known.all()); n != maxHeaders {
		t.Errorf("%d are remembered, want %d", n, maxHeaders)
	}
}

type testKey struct{ withdrawn bool }

func (k *testKey) Withdrawn() bool { return k.withdrawn }

// TestHeadersOfWithdrawnKeysAreForgotten: a server whose keys rotate remembers the headers of the keys that it has.
func TestHeadersOfWithdrawnKeysAreForgotten(t *testing.T) {
	var known headers
	first, second := &testKey{}, &testKey{}
	add := func(id string, key *testKey) {
		known.add(encoding.EncodeToString([]byte(`{"alg":"ES256","kid":"`+id+`"}`)), header{algorithm: "ES256", keyID: id}, key)
	}
	add("1", first)
	add("1, written otherwise", first)
	first.withdrawn = true
	add("2", second)
	if n := len(known.all()); n != 1 {
		t.Errorf("%d headers are remembered, want that of the second key", n)
	}
}
