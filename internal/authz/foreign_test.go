package authz

import (
	"strings"
	"testing"

	rbacv1 "k8s.io/api/rbac/v1"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
)

const issuerKey = "authentication.mintmark.io/issuer"

// tokenUser is a user as authenticators of tokens make it, whose extra is sorted.
type tokenUser struct {
	user.DefaultInfo
	sorted [][2]string
}

func (u *tokenUser) SortedExtra() [][2]string { return u.sorted }

// An issuer can't speak for this server's own users: a user of it with a name of theirs has none of their rights.
func TestUsersOfOtherIssuersHaveNoRightsOfOurs(t *testing.T) {
	const own, other = "https://here.example", "https://east.example"
	x := NewIndex()
	x.set(newRole("", "reader", rbacv1.PolicyRule{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}))
	x.set(newBinding("", "readers", "ClusterRole", "reader", account("default", "app"),
		rbacv1.Subject{Kind: "Group", Name: "system:serviceaccounts:default"},
		rbacv1.Subject{Kind: "Group", Name: "system:authenticated"},
		rbacv1.Subject{Kind: "User", Name: "jane"}))
	z, err := New(Config{Index: x, Issuers: []string{own, "https://former.example"}})
	if err != nil {
		t.Fatal(err)
	}
	const app = "system:serviceaccount:default:app"
	groups := []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"}
	prefixed := []string{"east:system:serviceaccounts", "east:system:serviceaccounts:default", "system:authenticated"}
	from := func(issuers ...string) map[string][]string { return map[string][]string{issuerKey: issuers} }
	for name, test := range map[string]struct {
		user   user.Info
		denied bool
	}{
		"our own, as a relying party tells it":        {user: &user.DefaultInfo{Name: app, Groups: groups}},
		"our own, by its token":                       {user: &tokenUser{user.DefaultInfo{Name: app, Groups: groups}, [][2]string{{"authentication.kubernetes.io/node-name", "n"}}}},
		"of our issuer":                               {user: &user.DefaultInfo{Name: app, Groups: groups, Extra: from(own)}},
		"of our former issuer":                        {user: &user.DefaultInfo{Name: app, Groups: groups, Extra: from("https://former.example")}},
		"of another issuer, with a prefix":            {user: &user.DefaultInfo{Name: "east:" + app, Groups: prefixed, Extra: from(other)}},
		"of another issuer, mapped":                   {user: &user.DefaultInfo{Name: "jane", Groups: []string{"system:authenticated"}, Extra: from(other)}},
		"of another issuer":                           {user: &user.DefaultInfo{Name: app, Groups: groups, Extra: from(other)}, denied: true},
		"of another issuer, without groups":           {user: &user.DefaultInfo{Name: app, Extra: from(other)}, denied: true},
		"of another issuer, by its groups":            {user: &user.DefaultInfo{Groups: groups, Extra: from(other)}, denied: true},
		"of another issuer, a prefix and our group":   {user: &user.DefaultInfo{Name: "east:" + app, Groups: groups[1:2], Extra: from(other)}, denied: true},
		"of another issuer, in system:masters":        {user: &user.DefaultInfo{Name: "jane", Groups: []string{"system:masters"}, Extra: from(other)}, denied: true},
		"of another issuer, by its token":             {user: &tokenUser{user.DefaultInfo{Name: app, Groups: groups}, [][2]string{{issuerKey, other}}}, denied: true},
		"of our issuer and another":                   {user: &user.DefaultInfo{Name: app, Extra: from(own, other)}, denied: true},
		"of no issuer, with the key":                  {user: &user.DefaultInfo{Name: app, Extra: from()}, denied: true},
		"of another issuer, the key in other letters": {user: &user.DefaultInfo{Name: app, Extra: map[string][]string{"Authentication.Mintmark.io/Issuer": {other}}}, denied: true},
		"of our issuer, but for a slash":              {user: &user.DefaultInfo{Name: app, Extra: from(own + "/")}, denied: true},
	} {
		ask := authorizer.AttributesRecord{User: test.user, Verb: "get", Resource: "pods", ResourceRequest: true}
		want := authorizer.DecisionAllow
		if test.denied {
			want = authorizer.DecisionDeny
		}
		decision, reason, err := z.Authorize(t.Context(), ask)
		if decision != want || err != nil || test.denied != strings.Contains(reason, "issuer") {
			t.Errorf("%s: decision %d, %q, %v", name, decision, reason, err)
		}
		rules, _, _, err := z.RulesFor(t.Context(), test.user, "default")
		if test.denied != (err != nil) || test.denied != (len(rules) == 0) {
			t.Errorf("%s: rules %v, %v", name, rules, err)
		}
	}
}
