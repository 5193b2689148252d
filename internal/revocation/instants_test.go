package revocation

import (
	"math/rand/v2"
	"testing"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// TestManyForOne: the latest of the entries that are there counts, in whatever order they come and go.
func TestManyForOne(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	s := NewSet()
	entry := func(before int64) spec {
		return spec{ServiceAccount: &v1alpha1.ServiceAccountReference{Namespace: "ns", Name: "app"}, IssuedBefore: at(before)}
	}
	var entries []func()
	var instants []int64
	for range 2000 {
		if len(entries) > 0 && random.IntN(2) == 0 {
			i := random.IntN(len(entries))
			entries[i]()
			entries, instants = append(entries[:i], entries[i+1:]...), append(instants[:i], instants[i+1:]...)
		} else {
			before := random.Int64N(20) + 10
			entries, instants = append(entries, put(s, entry(before))), append(instants, before)
		}
		latest := int64(0)
		for _, before := range instants {
			latest = max(latest, before)
		}
		for issued := range int64(32) {
			c := Credential{Own: true, ID: "x", Namespace: "ns", Account: "app", IssuedAt: issued, Dated: true}
			if got := s.Covers("", &holder{c: c}); got != (issued < latest) {
				t.Fatalf("issued at %d, covered: %t, entries %v", issued, got, instants)
			}
		}
	}
	// Two entries for the same token: it is covered until both are gone.
	first, second := put(s, spec{CredentialID: "id"}), put(s, spec{CredentialID: "id"})
	token := &holder{c: Credential{Own: true, ID: "id"}}
	first()
	if !s.Covers("", token) {
		t.Error("not covered although one of two entries is there")
	}
	if second(); s.Covers("", token) {
		t.Error("covered although both entries are gone")
	}
}

// TestEndingInOrder: entries for one account that end in the order in which they were made leave nothing behind, although the latest is
// there all the time.
func TestEndingInOrder(t *testing.T) {
	t.Parallel()
	var i instants
	const there, came = 100, 20_000
	for at := range uint32(came) {
		i.add(at)
		if at >= there {
			i.remove(at - there)
		}
		if i.latest != at {
			t.Fatalf("the latest is %d, want %d", i.latest, at)
		}
	}
	if kept := len(i.live) + len(i.gone); kept > 4*there {
		t.Errorf("%d instants are kept for %d entries", kept, there)
	}
	for at := range uint32(there) {
		i.remove(came - 1 - at)
		if want := came - 2 - at; at < there-1 && i.latest != want {
			t.Fatalf("the latest is %d, want %d", i.latest, want)
		}
	}
	if !i.empty() {
		t.Errorf("%d instants are left", len(i.live))
	}
}
