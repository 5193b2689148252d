package main

import (
	"encoding/pem"
	"fmt"
	"strings"
	"testing"
	"time"
)

// ciBench is a bench with the server's authority in ca.crt, and a token of the administrator in admin.token.
func ciBench(t *testing.T) *fakeAPI {
	t.Helper()
	api := bench(t)
	writeFile(t, "ca.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: api.Certificate().Raw})))
	writeFile(t, "admin.token", adminCredential+"\n")
	return api
}

// A token to call with needs no kubeconfig, and takes the place of its credentials.
func TestBearerTokenFile(t *testing.T) {
	for name, test := range map[string]struct {
		args, env string
		stdin     string
		namespace string
	}{
		"a file":                         {args: "--server URL --certificate-authority ca.crt --bearer-token-file admin.token"},
		"standard input":                 {args: "--server URL --certificate-authority ca.crt --bearer-token-file -", stdin: adminCredential},
		"with a newline":                 {args: "--server URL --certificate-authority ca.crt --bearer-token-file -", stdin: adminCredential + "\n"},
		"with another newline":           {args: "--server URL --certificate-authority ca.crt --bearer-token-file -", stdin: adminCredential + "\r\n"},
		"a kubeconfig's server":          {args: "--kubeconfig kubeconfig --bearer-token-file admin.token"},
		"in place of its credentials":    {args: "--kubeconfig kubeconfig --context stranger --bearer-token-file admin.token"},
		"no kubeconfig of a directory":   {args: "--server URL --certificate-authority ca.crt --bearer-token-file admin.token", env: "garbage"},
		"a context's namespace":          {args: "--kubeconfig prod --bearer-token-file admin.token", namespace: "prod"},
		"another authority than its own": {args: "--kubeconfig strange --certificate-authority ca.crt --bearer-token-file admin.token"},
	} {
		t.Run(name, func(t *testing.T) {
			api := ciBench(t)
			writeFile(t, "garbage", "\x00{]")
			api.kubeconfig(t, "prod", "prod")
			other := newFakeAPI(t)
			strange := *api
			strange.Server = other.Server
			strange.kubeconfig(t, "strange", "")
			t.Setenv(kubeconfigEnv, test.env)
			args := append([]string{"token", "create", "app"}, strings.Fields(strings.ReplaceAll(test.args, "URL", api.URL))...)
			if strings.Contains(test.args, "strange") {
				args = append(args, "--server", api.URL)
			}
			got := mintmark(t, test.stdin, args...)
			got.want(t, 0, "ey", "")
			got.keeps(t, adminCredential)
			if namespace := test.namespace; namespace != "" && !strings.Contains(api.request.URL.Path, "/"+namespace+"/") {
				t.Errorf("asked %s", api.request.URL.Path)
			}
		})
	}
}

func TestBearerTokenRefused(t *testing.T) {
	claims := func(exp time.Time) string {
		return makeJWT(`{"alg":"ES256"}`, fmt.Sprintf(`{"iss":"https://ci.example","aud":["https://other.example"],"exp":%d}`, exp.Unix()))
	}
	const called = "--server URL --certificate-authority ca.crt --bearer-token-file -"
	for name, test := range map[string]struct {
		args, stdin string
		code        int
		err         string
	}{
		"nothing on standard input":     {called, "", 2, "there is no token in standard input: the step that gets it from the CI system gave nothing"},
		"a newline alone":               {called, "\n", 2, "there is no token in standard input"},
		"what jq prints of nothing":     {called, "null\n", 2, "there is no token in standard input"},
		"the answer around it":          {called, `{"value":"hidden-secret-token"}`, 2, "is a JSON object and not a token"},
		"a header's value":              {called, "Bearer hidden-secret-token", 2, "leave out the word in front of the token"},
		"two lines":                     {called, "hidden-secret-token\nhidden-secret-token", 2, "there is white space or a special character in it"},
		"far too much":                  {called, strings.Repeat("hidden-secret-token", 10000), 1, "it is longer than 65536 bytes, so it isn't a token"},
		"no such file":                  {"--server URL --bearer-token-file nothing", "", 1, "cannot read the token to call with (--bearer-token-file): open nothing"},
		"no file at all":                {"--server URL --bearer-token-file=", "", 2, "--bearer-token-file must name a file, or - for standard input"},
		"no such authority":             {"--server URL --certificate-authority nothing --bearer-token-file admin.token", "", 1, "there is no file nothing, named with --certificate-authority"},
		"no authority":                  {"--server URL --bearer-token-file admin.token", "", 1, "is not from a known authority ("},
		"no server":                     {"--bearer-token-file admin.token", "", 1, "no kubeconfig found"},
		"a server without TLS":          {"--server http://127.0.0.1:1 --bearer-token-file admin.token", "", 1, "a token is sent to https:// only"},
		"a server that names no scheme": {"--server 127.0.0.1:1 --bearer-token-file admin.token", "", 1, "a token is sent to https:// only"},
		"nobody listens":                {"--server https://127.0.0.1:1 --bearer-token-file admin.token", "", 1, "nothing listens at https://127.0.0.1:1 (from --server)"},
		"an unknown token":              {called, "hidden-secret-token", 1, "does not accept your token (from standard input): Unauthorized\n"},
		"an unknown issuer":             {called, claims(time.Now().Add(time.Hour)), 1, `Its issuer is "https://ci.example", its audience is "https://other.example", it expires in `},
		"a token that has ended":        {called, claims(time.Unix(1700000000, 0)), 1, "(2023-11-14T22:13:20Z)"},
	} {
		t.Run(name, func(t *testing.T) {
			api := ciBench(t)
			got := mintmark(t, test.stdin, append([]string{"token", "create", "app"}, strings.Fields(strings.ReplaceAll(test.args, "URL", api.URL))...)...)
			got.want(t, test.code, "", test.err)
			got.keeps(t, "hidden-secret-token", adminCredential, signature)
		})
	}
}

// One standard input is one token.
func TestBearerTokenTwice(t *testing.T) {
	for _, command := range []string{"token review -", "token explain -", "token revoke -", "keys import -"} {
		ciBench(t)
		args := append(strings.Fields(command), "--kubeconfig", "kubeconfig", "--bearer-token-file", "-")
		mintmark(t, adminCredential, args...).want(t, 2, "", "standard input can't be read twice: name a file with --bearer-token-file")
	}
}
