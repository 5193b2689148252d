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
		"good":                          {args: []string{token}, out: "AUTHENTICATED  yes"},
		"good for one of the audiences": {args: []string{token, "--audience", "other", "--audience", "vault"}, out: "AUDIENCES      vault"},
		"good for none": {
			args: []string{token, "--audience", "other"},
			code: 1,
			out:  "AUTHENTICATED  no\nERROR          [invalid bearer token, cannot parse [token]]\n",
		},
		"unknown": {args: []string{"made-up-token"}, code: 1, out: "AUTHENTICATED  no"},
		"unknown, as an object": {
			args: []string{"made-up-token", "-o", "json"},
			code: 1,
			out:  `"error": "[invalid bearer token, cannot parse [token]]"`,
			err:  "error: the token is refused: [invalid bearer token",
		},
		"audiences not understood": {args: []string{noAudiences, "--audience", "vault"}, code: 1, out: "AUTHENTICATED  yes"},
		"audiences of no interest": {args: []string{noAudiences}, out: "AUTHENTICATED  yes"},
		"no permission":            {args: []string{token, "--context", "stranger"}, code: 2, err: "does not accept the credentials in kubeconfig: Unauthorized"},
		"a server error": {
			args: []string{"break-the-server"},
			code: 2,
			err:  "error: failed to review token: Internal error occurred: no idea what [token] is",
		},
		"no server": {
			args: []string{token, "--server", "https://127.0.0.1:1"},
			code: 2,
			err:  "nothing listens at https://127.0.0.1:1 (from kubeconfig): start a server with 'mintmark serve'",
		},
		"no token":                   {args: nil, code: 2, err: "no token given: use - to read it from standard input"},
		"two tokens":                 {args: []string{token, token}, code: 2, err: "more than one token given"},
		"nothing on standard input":  {args: []string{"-"}, code: 2, err: "the token is empty"},
		"a whole header":             {args: []string{"bearer " + token}, code: 2, err: "leave out the word in front of the token"},
		"an empty audience":          {args: []string{token, "--audience="}, code: 2, err: "--audience must not be empty"},
		"a token that begins with -": {args: []string{"-" + token}, code: 2, err: "unknown flag -e\nSee 'mintmark token review --help'"},
		"another format":             {args: []string{token, "-o", "table"}, code: 2, err: "must be json or yaml"},
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
