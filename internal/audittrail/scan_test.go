package audittrail

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

// TestScanParts cuts a log in two at each byte: both parts together have each event once.
func TestScanParts(t *testing.T) {
	text := using(1, "a", "one") + "torn\n" + using(2, "b", "one") + "\n" + strings.TrimSuffix(using(3, "c", "one"), "\n")
	for cut := range len(text) + 1 {
		var users []string
		s := &scanner{filter: filterOf(map[string]struct{}{"JTI=one": {}}), take: func(e *event) error {
			users = append(users, e.User.Username)
			return nil
		}}
		if cut > 0 {
			first := &blocks{in: iotest.HalfReader(strings.NewReader(text)), buffer: make([]byte, 100)}
			if err := s.scan(first, int64(cut)); err != nil {
				t.Fatal(err)
			}
		}
		second := &blocks{in: strings.NewReader(text[max(0, cut-1):]), buffer: make([]byte, 64)}
		if cut > 0 {
			second.offset, second.skipping = -1, true
		}
		if err := s.scan(second, int64(len(text)-cut)); err != nil {
			t.Fatal(err)
		}
		if want := (Counts{Lines: 4, Skipped: 1}); !cmp.Equal([]string{"a", "b", "c"}, users) || s.Counts != want {
			t.Fatalf("cut at %d: %v %+v", cut, users, s.Counts)
		}
	}
}

// TestFilter finds an id in each form in which servers write it, whether it is searched for or looked up.
func TestFilter(t *testing.T) {
	for _, id := range []string{"JTI=one", `JTI=<a>&"b"\`, "JTI=é\n", `JTI=\\`} {
		few, many := map[string]struct{}{id: {}}, map[string]struct{}{id: {}}
		for i := range 10 {
			many[fmt.Sprint("JTI=", i)] = struct{}{}
		}
		for _, form := range inJSON(id) {
			for _, member := range []string{`"x/credential-id":"`, `"x/credential-id":["`, `"x/issued-credential-id": "`} {
				text := []byte(`{"credential-id":7,"credential-id":"no",` + member + string(form) + `"}`)
				for name, ids := range map[string]map[string]struct{}{"searched": few, "looked up": many} {
					if !filterOf(ids).mayMatch(text) {
						t.Errorf("%s: not found in %s", name, text)
					}
				}
			}
		}
		if filterOf(many).mayMatch([]byte(`{"credential-id":"JTI=on`)) || filterOf(few).mayMatch([]byte(`{"credential-id":"JTI=on"}`)) {
			t.Errorf("%s is found where it is not", id)
		}
	}
}
