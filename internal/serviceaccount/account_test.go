package serviceaccount

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
	serviceaccountuser "k8s.io/apiserver/pkg/authentication/serviceaccount"
	credentialid "k8s.io/apiserver/pkg/authentication/token/jwt"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/boundobject"
)

// TestAccountIsTheLibrarysUser has an account with and without everything that a token may say, beside the user that the
// library makes of the same.
func TestAccountIsTheLibrarysUser(t *testing.T) {
	given := []string{"", "x"}
	for bits := range 1 << 8 {
		value := func(bit int) string { return given[bits>>bit&1] }
		c := Claims{ID: value(0), Subject: value(1), Binding: boundobject.Binding{
			Namespace:      "ns",
			ServiceAccount: boundobject.Ref{Name: "app", UID: types.UID(value(2))},
			Pod:            boundobject.Ref{Name: value(3), UID: types.UID(value(4))},
			Node:           boundobject.Ref{Name: value(5), UID: types.UID(value(6))},
			Secret:         boundobject.Ref{Name: value(7)},
		}}
		if c.Subject != "" {
			c.Subject = "system:serviceaccount:ns:app"
		}
		b := c.Binding
		library := (&serviceaccountuser.ServiceAccountInfo{
			Namespace: b.Namespace, Name: b.ServiceAccount.Name, UID: string(b.ServiceAccount.UID),
			PodName: b.Pod.Name, PodUID: string(b.Pod.UID), NodeName: b.Node.Name, NodeUID: string(b.Node.UID),
			CredentialID: credentialid.CredentialIDForJTI(c.ID),
		}).UserInfo()
		want := &user.DefaultInfo{
			Name: library.GetName(), UID: library.GetUID(),
			Groups: append(library.GetGroups(), user.AllAuthenticated), Extra: library.GetExtra(),
		}
		a := newAccount(&c)
		got := &user.DefaultInfo{Name: a.GetName(), UID: a.GetUID(), Groups: a.GetGroups(), Extra: a.GetExtra()}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v: want -, got +:\n%s", c, diff)
		}
		var keys []string
		for _, pair := range a.SortedExtra() {
			keys = append(keys, pair[0])
			if diff := cmp.Diff(want.Extra[pair[0]], []string{pair[1]}); diff != "" {
				t.Errorf("%+v: %s: want -, got +:\n%s", c, pair[0], diff)
			}
		}
		if !slices.IsSorted(keys) || len(keys) != len(want.Extra) {
			t.Errorf("%+v: the keys are %v", c, keys)
		}
	}
}
