package audittrail

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestSorter puts entries into order in memory and by way of a file, with the same result.
func TestSorter(t *testing.T) {
	for _, held := range []int{0, 1, 7, 50} {
		t.Run(fmt.Sprint(held), func(t *testing.T) {
			s := &sorter{held: held}
			defer s.close()
			var shuffled []*Entry
			var want []string
			for i := range 300 {
				e := &Entry{Time: time.Unix(int64(i/3), 0).UTC(), Kind: Used, AuditID: fmt.Sprint("id-", i/3), Stage: []string{"RequestReceived", "ResponseStarted", "ResponseComplete"}[i%3]}
				if i%3 == 2 {
					want = append(want, e.AuditID+e.Stage)
				}
				shuffled = append(shuffled, e)
			}
			rand.Shuffle(len(shuffled), func(i, j int) { shuffled[i], shuffled[j] = shuffled[j], shuffled[i] })
			for _, e := range shuffled {
				if err := s.add(e); err != nil {
					t.Fatal(err)
				}
			}
			var got []string
			if err := s.each(func(e *Entry) error {
				got = append(got, e.AuditID+e.Stage)
				return nil
			}); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		})
	}
}
