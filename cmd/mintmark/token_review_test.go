package main

import (
	"encoding/json"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"sigs.k8s.io/yaml"
)

// issue gets a token from the fake, for audiences.
func issue(t *testing.T, audiences ...string) string {
	t.Helper()
	args := []string{"token", "create", "app", "--kubeconfig", "kubeconfig"}
	for _, audience := range audiences {
		args = append(args, "--audience", audience)
	}
	got := mintmark(t, "", args...)
	got.want(t, 0, "ey", "")
	return got.out
}

func TestTokenReviewTable(t *testing.T) {
	bench(t)
	token := issue(t, "vault", "api")
	got := mintmark(t, "\n  "+token+"\n", "token", "review", "-", "--kubeconfig", "kubeconfig")
	got.want(t, 0, `AUTHENTICATED  yes
USERNAME       system:serviceaccount:default:app
UID            uid-of-app
GROUPS         system:serviceaccounts
               system:authenticated
AUDIENCES      api
EXTRA          authentication.kubernetes.io/credential-id=JTI=7
`, "")
	got.keeps(t, token, signature)
}

func TestTokenReviewAnswers(t *testing.T) {
	api := bench(t)
	token := issue(t, "vault", "api")
	noAudiences := issue(t, "vault")
	known := api.issued[noAudiences]
	known.Status.Audiences = nil
	api.issued[noAudiences] = known

	for name, test := range map[string]struct {
		args []string
		code int
		out  string
		err  string
	}{
		"good":                          {[]string{token}, 0, "AUTHENTICATED  yes", ""},
		"good for one of the audiences": {[]string{token, "--audience", "other", "--audience", "vault"}, 0, "AUDIENCES      vault", ""},
		"good for none":                 {[]string{token, "--audience", "other"}, 1, "AUTHENTICATED  no\nERROR          [invalid bearer token, cannot parse [token]]\n", ""},
		"unknown":                       {[]string{"made-up-token"}, 1, "AUTHENTICATED  no", ""},
		"unknown, as an object":         {[]string{"made-up-token", "-o", "json"}, 1, `"error": "[invalid bearer token, cannot parse [token]]"`, "error: the token is refused: [invalid bearer token"},
		"audiences not understood":      {[]string{noAudiences, "--audience", "vault"}, 1, "AUTHENTICATED  yes", ""},
		"audiences of no interest":      {[]string{noAudiences}, 0, "AUTHENTICATED  yes", ""},
		"no permission":                 {[]string{token, "--context", "stranger"}, 2, "", "does not accept the credentials in kubeconfig: Unauthorized"},
		"a server error":                {[]string{"break-the-server"}, 2, "", "error: failed to review token: Internal error occurred: no idea what [token] is"},
		"no server":                     {[]string{token, "--server", "https://127.0.0.1:1"}, 2, "", "nothing listens at https://127.0.0.1:1 (from kubeconfig): start a server with 'mintmark serve'"},
		"no token":                      {nil, 2, "", "no token given: use - to read it from standard input"},
		"two tokens":                    {[]string{token, token}, 2, "", "more than one token given"},
		"nothing on standard input":     {[]string{"-"}, 2, "", "the token is empty"},
		"a whole header":                {[]string{"bearer " + token}, 2, "", "leave out the word in front of the token"},
		"an empty audience":             {[]string{token, "--audience="}, 2, "", "--audience must not be empty"},
		"a token that begins with -":    {[]string{"-" + token}, 2, "", "unknown flag -e\nSee 'mintmark token review --help'"},
		"another format":                {[]string{token, "-o", "table"}, 2, "", "must be json or yaml"},
	} {
		t.Run(name, func(t *testing.T) {
			got := mintmark(t, " \n", append([]string{"token", "review", "--kubeconfig", "kubeconfig"}, test.args...)...)
			got.want(t, test.code, test.out, test.err)
			got.keeps(t, token, noAudiences, "made-up-token", "break-the-server", signature, adminCredential)
		})
	}
}

func TestTokenReviewObject(t *testing.T) {
	api := bench(t)
	token := issue(t, "vault")
	for format, unmarshal := range map[string]func([]byte, any) error{
		"json": json.Unmarshal,
		"yaml": func(data []byte, into any) error { return yaml.UnmarshalStrict(data, into) },
	} {
		t.Run(format, func(t *testing.T) {
			got := mintmark(t, "", "token", "review", token, "--audience", "vault", "--kubeconfig", "kubeconfig", "-o", format)
			got.want(t, 0, "TokenReview", "")
			got.keeps(t, token, signature)
			var review authenticationv1.TokenReview
			if err := unmarshal([]byte(got.out), &review); err != nil {
				t.Fatal(err)
			}
			if review.Kind != "TokenReview" || !review.Status.Authenticated || review.Spec.Audiences[0] != "vault" {
				t.Errorf("printed\n%s", got.out)
			}
			if sent := api.body.(*authenticationv1.TokenReview).Spec.Token; sent != token {
				t.Errorf("sent the token %q, want %q", sent, token)
			}
		})
	}
}

// What a server says must not reach the terminal as a command to it.
func TestTokenReviewIsPlain(t *testing.T) {
	api := bench(t)
	token := issue(t)
	known := api.issued[token]
	known.Status.User.Username = "\x1b[2Jroot\u202e"
	api.issued[token] = known
	mintmark(t, "", "token", "review", token, "--kubeconfig", "kubeconfig").want(t, 0, "USERNAME       \ufffd[2Jroot\ufffd\n", "")
}
