package main

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/yaml"
)

func TestTokenCreate(t *testing.T) {
	seconds := func(n int64) *int64 { return &n }
	for name, test := range map[string]struct {
		args []string
		path string
		spec authenticationv1.TokenRequestSpec
		err  string
	}{
		"nothing but the account": {
			path: "/api/v1/namespaces/default/serviceaccounts/app/token",
		},
		"everything": {
			args: []string{
				"-n", "prod", "--audience", "vault", "--audience", "a,b", "--duration", "10m",
				"--bound-object-kind", "Pod", "--bound-object-name", "web-0", "--bound-object-uid", "u1",
			},
			path: "/api/v1/namespaces/prod/serviceaccounts/app/token",
			spec: authenticationv1.TokenRequestSpec{
				Audiences: []string{"vault", "a,b"}, ExpirationSeconds: seconds(600),
				BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Pod", Name: "web-0", UID: "u1"},
			},
		},
		"a prefix before the namespace, as kubectl takes it": {
			args: []string{"--namespace", "ns/prod"},
			path: "/api/v1/namespaces/prod/serviceaccounts/app/token",
		},
		"a node, without its uid": {
			args: []string{"--bound-object-kind", "Node", "--bound-object-name", "n1"},
			path: "/api/v1/namespaces/default/serviceaccounts/app/token",
			spec: authenticationv1.TokenRequestSpec{BoundObjectRef: &authenticationv1.BoundObjectReference{APIVersion: "v1", Kind: "Node", Name: "n1"}},
		},
		"a lifetime that the server shortens": {
			args: []string{"--duration", "2h"},
			path: "/api/v1/namespaces/default/serviceaccounts/app/token",
			spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: seconds(7200)},
			err:  "Warning: requested expiration of 7200 seconds shortened to 3600 seconds\n",
		},
	} {
		t.Run(name, func(t *testing.T) {
			api := bench(t)
			got := mintmark(t, "", append([]string{"token", "create", "app", "--kubeconfig", "kubeconfig"}, test.args...)...)
			got.want(t, 0, "ey", test.err)
			if _, ok := api.issued[got.out]; !ok {
				t.Errorf("stdout is %q, want the token and nothing else", got.out)
			}
			if api.request.URL.Path != test.path {
				t.Errorf("asked %s, want %s", api.request.URL.Path, test.path)
			}
			// A query would take the request off the server's short way.
			if api.request.URL.RawQuery != "" || !strings.HasPrefix(api.request.UserAgent(), "mintmark/") {
				t.Errorf("query %q, user agent %q", api.request.URL.RawQuery, api.request.UserAgent())
			}
			if diff := cmp.Diff(test.spec, api.body.(*authenticationv1.TokenRequest).Spec); diff != "" {
				t.Errorf("spec sent (-want +got):\n%s", diff)
			}
		})
	}
}

func TestTokenCreateObject(t *testing.T) {
	for format, unmarshal := range map[string]func([]byte, any) error{
		"json": json.Unmarshal,
		"yaml": func(data []byte, into any) error { return yaml.UnmarshalStrict(data, into) },
	} {
		t.Run(format, func(t *testing.T) {
			api := bench(t)
			got := mintmark(t, "", "token", "create", "app", "--kubeconfig", "kubeconfig", "-o", format)
			got.want(t, 0, "TokenRequest", "")
			var request authenticationv1.TokenRequest
			if err := unmarshal([]byte(got.out), &request); err != nil {
				t.Fatal(err)
			}
			if _, ok := api.issued[request.Status.Token]; !ok || request.APIVersion != "authentication.k8s.io/v1" {
				t.Errorf("printed\n%s", got.out)
			}
		})
	}
}

func TestTokenCreateRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		args []string
		code int
		err  string
	}{
		"no account":          {nil, 2, "error: name one service account: mintmark token create ACCOUNT\nSee 'mintmark token create --help'"},
		"an empty account":    {[]string{""}, 2, "name one service account"},
		"two accounts":        {[]string{"a", "b"}, 2, "name one service account"},
		"an odd account":      {[]string{"a/b"}, 1, `invalid resource name "a/b"`},
		"an unknown account":  {[]string{"nobody"}, 1, `error: failed to create token: serviceaccounts "nobody" not found`},
		"a negative lifetime": {[]string{"app", "--duration", "-1m"}, 2, "--duration must be positive, or 0 to leave it to the server"},
		"half a second":       {[]string{"app", "--duration", "500ms"}, 2, "--duration must be in whole seconds"},
		"no lifetime at all":  {[]string{"app", "--duration", "soon"}, 2, `invalid argument "soon" for "--duration" flag`},
		"an empty audience":   {[]string{"app", "--audience", ""}, 2, "--audience must not be empty"},
		"a name, no kind":     {[]string{"app", "--bound-object-name", "p"}, 2, "--bound-object-name needs --bound-object-kind (one of Node, Pod, Secret)"},
		"a uid, no kind":      {[]string{"app", "--bound-object-uid", "u"}, 2, "--bound-object-uid needs --bound-object-kind"},
		"a kind, no name":     {[]string{"app", "--bound-object-kind", "Pod"}, 2, "give it with --bound-object-name"},
		"another kind":        {[]string{"app", "--bound-object-kind", "pod", "--bound-object-name", "p"}, 2, "--bound-object-kind must be one of Node, Pod, Secret"},
		"another format":      {[]string{"app", "-o", "xml"}, 2, `must be json or yaml`},
		"groups of nobody":    {[]string{"app", "--as-group", "g"}, 2, "--as-group needs a user: name one with --as"},
		"an unknown flag":     {[]string{"app", "--colour"}, 2, "unknown flag: --colour\nSee 'mintmark token create --help'"},
	} {
		t.Run(name, func(t *testing.T) {
			bench(t)
			mintmark(t, "", append([]string{"token", "create", "--kubeconfig", "kubeconfig"}, test.args...)...).want(t, test.code, "", test.err)
		})
	}
}
