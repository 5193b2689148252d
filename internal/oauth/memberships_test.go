package oauth_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// groupsOf asks for the groups of a user by the only way that there is.
func (r *replica) groupsOf(name string) []string {
	r.t.Helper()
	token := adasToken(n1, time.Now())
	token.UserName, token.UserUID = name, ""
	r.put(token)
	response, ok, err := r.AuthenticateToken(r.t.Context(), t1)
	if !ok || err != nil {
		r.t.Fatal(ok, err)
	}
	return response.User.GetGroups()
}

// TestMemberships plays random changes of groups against a plain model.
func TestMemberships(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	r := newReplica(t, newShelf(), 0)
	users := []string{"ada", "bob", "eve"}
	for _, name := range users {
		one := ada("")
		one.Name = name
		r.put(one)
	}
	model := map[string][]string{}
	var lent [][]string // what reviews have been given, and what it was then
	var was []string
	for step := range 400 {
		name := string(rune('a' + random.IntN(5)))
		if _, ok := model[name]; ok && random.IntN(3) == 0 {
			r.remove(group(name))
			delete(model, name)
		} else {
			var members []string
			for range random.IntN(5) { // some of them twice
				members = append(members, users[random.IntN(len(users))])
			}
			model[name] = members
			r.put(group(name, members...))
		}
		for _, name := range users {
			var want []string
			for _, g := range slices.Sorted(maps.Keys(model)) {
				if slices.Contains(model[g], name) {
					want = append(want, g)
				}
			}
			want = append(want, "system:authenticated:oauth")
			got := r.groupsOf(name)
			if !slices.Equal(got, want) {
				t.Fatalf("step %d: %s is in %q, want %q", step, name, got, want)
			}
			if cap(got) != len(got) {
				t.Fatalf("step %d: whoever appends to the list writes into what others were given", step)
			}
			lent, was = append(lent, got), append(was, fmt.Sprint(got))
		}
	}
	for i, groups := range lent {
		if fmt.Sprint(groups) != was[i] {
			t.Fatalf("what a review was given has changed from %s to %s", was[i], groups)
		}
	}
}
