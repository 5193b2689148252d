package oauth_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	oauthv1 "github.com/openshift/api/oauth/v1"
)

// TestScopesAreToldAsTheyAre: that tokens share what is told of their scopes shows nowhere.
func TestScopesAreToldAsTheyAre(t *testing.T) {
	r := newReplica(t, newShelf(), 0)
	r.put(ada("u-ada-1"))
	lists := [][]string{nil, {"a"}, {"b"}, {"a", "b"}, {"b", "a"}, {"a\nb"}, {"a", "b\n"}, {"a"}, {"a", "a"}, {""}, {"", ""}, {"a,b"}, nil, {"a", "b"}}
	for i := range 1200 { // more than are shared
		lists = append(lists, []string{fmt.Sprint("role:", i, ":ns")}, []string{fmt.Sprint("role:", i, ":ns")})
	}
	for _, list := range lists {
		r.put(adasToken(n1, time.Now(), func(token *oauthv1.OAuthAccessToken) { token.Scopes = list }))
		response, ok, err := r.AuthenticateToken(t.Context(), t1)
		if !ok || err != nil {
			t.Fatal(ok, err)
		}
		got, there := response.User.GetExtra()["scopes.authorization.openshift.io"]
		if !slices.Equal(got, list) || !there || (got == nil) != (list == nil) {
			t.Errorf("%q is told as %q", list, got)
		}
	}
}
