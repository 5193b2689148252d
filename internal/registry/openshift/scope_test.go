package openshift

import (
	"net/url"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	oauthv1 "github.com/openshift/api/oauth/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestScopes(t *testing.T) {
	for scope, want := range map[string]string{
		"user:full":                 "",
		"user:info":                 "",
		"user:check-access":         "",
		"user:list-scoped-projects": "",
		"user:list-projects":        "",
		"role:view:*":               "",
		"role:view:ns:!":            "",
		"role:system:x:ns":          "",
		"role:a:b:c:!":              "",
		"user:":                     "no scope handler found",
		"USER:FULL":                 "no scope handler found",
		"":                          "no scope handler found",
		"role":                      "no scope handler found",
		"role:":                     "bad format for scope role:",
		"role:view":                 "bad format for scope role:view",
		"role:view:":                "bad format for scope role:view:",
		"role::ns":                  "bad format for scope role::ns",
		"role:view:!":               "bad format for scope role:view",
		"role:!":                    "bad format for scope role",
		"user:full\n":               "10 not allowed",
		`a"b\c`:                     "34 not allowed, 92 not allowed",
		"ü":                         "252 not allowed",
		"\x7f":                      "127 not allowed",
		"\xff":                      "65533 not allowed",
	} {
		if got := strings.Join(scopeProblems(scope), ", "); got != want {
			t.Errorf("%q: %q, want %q", scope, got, want)
		}
	}
}

func TestRestrictions(t *testing.T) {
	literal := func(scopes ...string) oauthv1.ScopeRestriction { return oauthv1.ScopeRestriction{ExactValues: scopes} }
	role := func(names, namespaces string, escalate bool) oauthv1.ScopeRestriction {
		return oauthv1.ScopeRestriction{ClusterRole: &oauthv1.ClusterRoleScopeRestriction{
			RoleNames: strings.Fields(names), Namespaces: strings.Fields(namespaces), AllowEscalation: escalate,
		}}
	}
	for _, test := range []struct {
		name         string
		restrictions []oauthv1.ScopeRestriction
		scopes       string
		want         string
	}{
		{name: "no restrictions", scopes: "user:full role:view:*"},
		{name: "no scopes", want: "demo may not request unscoped tokens"},
		{name: "no scopes of few", restrictions: []oauthv1.ScopeRestriction{literal("user:info")}, want: "demo may not request unscoped tokens"},
		{name: "literal", restrictions: []oauthv1.ScopeRestriction{literal("user:info", "user:full")}, scopes: "user:full"},
		{
			name:         "another",
			restrictions: []oauthv1.ScopeRestriction{literal("user:info", "user:full")},
			scopes:       "user:list-projects",
			want:         "user:list-projects not found in [user:info user:full]",
		},
		{name: "one of two lists", restrictions: []oauthv1.ScopeRestriction{literal("user:info"), literal("user:full")}, scopes: "user:full"},
		{name: "none of two lists", restrictions: []oauthv1.ScopeRestriction{literal("a"), literal("b")}, scopes: "c", want: "[c not found in [a], c not found in [b]]"},
		{name: "two scopes", restrictions: []oauthv1.ScopeRestriction{literal("a")}, scopes: "b c", want: "[b not found in [a], c not found in [a]]"},
		{name: "the same twice", restrictions: []oauthv1.ScopeRestriction{literal("a"), literal("a")}, scopes: "b", want: "b not found in [a]"},
		{name: "a good and a bad one", restrictions: []oauthv1.ScopeRestriction{literal("a")}, scopes: "a b", want: "b not found in [a]"},
		{name: "role", restrictions: []oauthv1.ScopeRestriction{role("view", "ns", false)}, scopes: "role:view:ns"},
		{name: "any role", restrictions: []oauthv1.ScopeRestriction{role("*", "*", false)}, scopes: "role:view:*"},
		{name: "another role", restrictions: []oauthv1.ScopeRestriction{role("view", "ns", true)}, scopes: "role:edit:ns", want: "role:edit:ns does not use an approved name"},
		{
			name:         "another namespace",
			restrictions: []oauthv1.ScopeRestriction{role("view", "ns", true)},
			scopes:       "role:view:other",
			want:         "role:view:other does not use an approved namespace",
		},
		{
			name:         "all namespaces",
			restrictions: []oauthv1.ScopeRestriction{role("view", "ns", true)},
			scopes:       "role:view:*",
			want:         "role:view:* does not use an approved namespace",
		},
		{name: "escalation", restrictions: []oauthv1.ScopeRestriction{role("view", "ns", false)}, scopes: "role:view:ns:!", want: "role:view:ns:! is not allowed to escalate"},
		{name: "allowed escalation", restrictions: []oauthv1.ScopeRestriction{role("view", "ns", true)}, scopes: "role:view:ns:!"},
		{
			name:         "roles are silent about others",
			restrictions: []oauthv1.ScopeRestriction{role("*", "*", true)},
			scopes:       "user:full",
			want:         "user:full did not match any scope restriction",
		},
		{
			name:         "both say why",
			restrictions: []oauthv1.ScopeRestriction{literal("a"), role("view", "ns", true)},
			scopes:       "role:edit:ns",
			want:         "[role:edit:ns not found in [a], role:edit:ns does not use an approved name]",
		},
	} {
		client := &oauthv1.OAuthClient{ObjectMeta: metav1.ObjectMeta{Name: "demo"}, ScopeRestrictions: test.restrictions}
		got := ""
		if err := checkRestrictions(client, strings.Fields(test.scopes)); err != nil {
			got = err.Error()
		}
		if d := cmp.Diff(test.want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, d)
		}
	}
}

func TestAccountsThatAreClients(t *testing.T) {
	const route = `{"kind":"OAuthRedirectReference","apiVersion":"v1","reference":{"kind":"Route","name":"app"}}`
	for _, test := range []struct {
		name        string
		annotations map[string]string
		want        bool
	}{
		{"nothing", nil, false},
		{"a URI", map[string]string{redirectURIPrefix + "a": "https://app.example/cb"}, true},
		{"a bad and a good one", map[string]string{redirectURIPrefix + "a": "://", redirectURIPrefix + "b": "http://app.example"}, true},
		{"no host", map[string]string{redirectURIPrefix + "a": "https://:8080/cb"}, false},
		{"a path", map[string]string{redirectURIPrefix + "a": "/cb"}, false},
		{"without a prefix", map[string]string{"oauth-redirecturi.a": "https://app.example/cb"}, false},
		{"a Route", map[string]string{redirectReferencePrefix + "a": route}, false},
		{"a URI that changes a Route", map[string]string{redirectURIPrefix + "a": "https://app.example/cb", redirectReferencePrefix + "a": route}, false},
		{"a URI beside a Route", map[string]string{redirectURIPrefix + "a": "https://app.example/cb", redirectReferencePrefix + "b": route}, true},
		{"a URI and no reference", map[string]string{redirectURIPrefix + "a": "https://app.example/cb", redirectReferencePrefix + "a": "{"}, true},
		{"a URI and another kind", map[string]string{redirectURIPrefix + "a": "https://app.example/cb", redirectReferencePrefix + "a": `{"kind":"Route"}`}, true},
	} {
		if got := hasRedirect(test.annotations); got != test.want {
			t.Errorf("%s: %t", test.name, got)
		}
	}
}

// A redirect URI that is allowed stays what it is when a browser resolves it: nothing in it goes up.
func FuzzRedirectURIs(f *testing.F) {
	for _, seed := range []string{"https://demo.example/cb", "https://demo.example/a/../b", "https://demo.example/%2e%2e/b", "/cb", "a#b", "", "%zz", "https://[::1]/cb"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, uri string) {
		if redirectURIProblem(uri) != "" {
			return
		}
		parsed, err := url.Parse(uri)
		if err != nil || parsed.Fragment != "" {
			t.Fatalf("%q is allowed: %v", uri, err)
		}
		if !parsed.IsAbs() || !strings.HasPrefix(parsed.Path, "/") {
			return
		}
		if resolved := (&url.URL{}).ResolveReference(parsed); resolved.Path != parsed.Path {
			t.Errorf("%q leads to the path %q", uri, resolved.Path)
		}
	})
}
