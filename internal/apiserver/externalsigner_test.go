package apiserver_test

import (
	"context"
	"crypto/ecdsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"

	"github.com/mintmark/mintmark/externalsignertest"
	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/standinsigner"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestSignForAnotherServer: one server signs for another, which has a store of its own. The other's tokens verify there, both
// publish the same keys, and each signature is in the audit log of the server that made it.
func TestSignForAnotherServer(t *testing.T) {
	t.Parallel()
	socket := filepath.Join(t.TempDir(), "signer.sock")
	const issuer = "--service-account-issuer=https://tokens.example"
	signing := startAudited(t, issuer, "--controllers=", "--external-jwt-signer-listen=unix://"+socket, "--audit-log-mode=blocking-strict",
		"--service-account-max-token-expiration=2h")
	for result := range externalsignertest.Run(t.Context(), socket, externalsignertest.Options{}) {
		if result.Err != nil || result.Skipped != "" {
			t.Errorf("%s: %v%s", result.Name, result.Err, result.Skipped)
		}
	}
	calling := testserver.Start(t, issuer, "--controllers=", "--service-account-signing-endpoint="+socket, "--service-account-extend-token-expiration")
	admin := calling.Admin()
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	token := issue(t, admin, "app", nil)
	if status := review(t, admin, token); !status.Authenticated || status.User.Username != "system:serviceaccount:default:app" {
		t.Errorf("review: %+v", status)
	}
	if header := part(t, token, 0); header["typ"] != "JWT" || header["alg"] != "ES256" {
		t.Errorf("header %v", header)
	}
	if one, other := keySet(t, signing.Server), keySet(t, calling); one != other || !strings.Contains(one, fmt.Sprint(part(t, token, 0)["kid"])) {
		t.Errorf("key sets\n%s\n%s", one, other)
	}
	written, err := os.ReadFile(signing.log)
	if err != nil {
		t.Fatal(err)
	}
	if id := fmt.Sprintf(`"authentication.kubernetes.io/issued-credential-id":"JTI=%s"`, part(t, token, 1)["jti"]); !strings.Contains(string(written), id) {
		t.Errorf("the audit log doesn't have %s", id)
	}
	if strings.Contains(string(written), token[strings.LastIndex(token, ".")+1:]) {
		t.Error("the audit log has the signature")
	}
	// The signer's longest life is this server's, and a pod's token is extended to no more.
	seconds := int64(3 * 3600)
	if got := issueSpec(t, calling, &authenticationv1.TokenRequestSpec{ExpirationSeconds: &seconds}); got != 2*time.Hour {
		t.Errorf("a token lives for %s", got)
	}
}

// issueSpec issues a token for the account app and returns how long it lives.
func issueSpec(t *testing.T, server *testserver.Server, spec *authenticationv1.TokenRequestSpec) time.Duration {
	t.Helper()
	request, err := server.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "app", &authenticationv1.TokenRequest{Spec: *spec}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	claims := part(t, request.Status.Token, 1)
	return time.Unix(int64(claims["exp"].(float64)), 0).Sub(time.Unix(int64(claims["iat"].(float64)), 0))
}

// part decodes the header (0) or the claims (1) of a token.
func part(t *testing.T, token string, which int) map[string]any {
	t.Helper()
	text, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[which])
	if err != nil {
		t.Fatal(err)
	}
	var members map[string]any
	if err := json.Unmarshal(text, &members); err != nil {
		t.Fatal(err)
	}
	return members
}

func keySet(t *testing.T, server *testserver.Server) string {
	t.Helper()
	body, err := server.Admin().CoreV1().RESTClient().Get().AbsPath("/openid/v1/jwks").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestBrokenExternalSigner: what is wrong with an answer of the signer is kube-apiserver's error at the API, on both
// transports, and there is no token.
func TestBrokenExternalSigner(t *testing.T) {
	t.Parallel()
	for _, fast := range []string{"true", "false"} {
		signer := standinsigner.New(t)
		signer.Hint = 60
		signer.Start()
		server := testserver.Start(t, "--controllers=serviceaccount-controller", "--service-account-signing-endpoint="+signer.Socket, "--fast-path="+fast)
		caller := server.Caller(server.AdminConfig())
		const path = "POST /api/v1/namespaces/default/serviceaccounts/app/token"
		caller.Run(
			testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "{metadata: {name: app}}", Status: http.StatusCreated},
			testserver.Step{Request: path, Body: "{}", Status: http.StatusCreated},
		)
		for name, test := range map[string]struct {
			breaks func(*standinsigner.Signer)
			want   string
		}{
			"bad type":            {func(s *standinsigner.Signer) { s.Header = `{"alg":"ES256","kid":"one"}` }, "while validating header: bad type"},
			"alg none":            {func(s *standinsigner.Signer) { s.Header = `{"alg":"none","kid":"one","typ":"JWT"}` }, `while validating header: bad signing algorithm "none"`},
			"another's signature": {func(s *standinsigner.Signer) { s.Key = standinsigner.NewKey(t) }, `while verifying signature: it is not that of the key "one" with the algorithm ES256`},
			"no signature": {func(s *standinsigner.Signer) {
				s.OnSign = func(r *externaljwtv1.SignJWTResponse) error { r.Signature = ""; return nil }
			}, "empty signature returned"},
		} {
			header, key := signer.Header, signer.Key
			signer.Change(test.breaks)
			caller.Run(testserver.Step{Request: path, Body: "{}", Status: http.StatusInternalServerError, Want: fmt.Sprintf(
				"{kind: Status, reason: InternalError, status: Failure, message: %q}", "Internal error occurred: failed to generate token: "+test.want)})
			signer.Change(func(s *standinsigner.Signer) { s.Header, s.Key, s.OnSign = header, key, nil })
			if t.Failed() {
				t.Fatalf("fast path %s: %s", fast, name)
			}
		}
		caller.Run(testserver.Step{Request: path, Body: "{}", Status: http.StatusCreated})
	}
}

// TestKeyOfExternalSignerIsLookedUp: a token whose key this server does not know yet is refused only when the signer does not
// know it either, and while it can't be asked there is no verdict.
func TestKeyOfExternalSignerIsLookedUp(t *testing.T) {
	t.Parallel()
	signer := standinsigner.New(t)
	signer.Start()
	server := testserver.Start(t, "--controllers=serviceaccount-controller", "--service-account-signing-endpoint="+signer.Socket, "--service-account-issuer=https://tokens.example")
	admin := server.Admin()
	if _, err := admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	// The token of a key that comes and goes: signed with it, and known before to nobody but the signer.
	known := issue(t, admin, "app", nil)
	next := standinsigner.NewKey(t)
	claims := part(t, known, 1)
	token := signWith(t, next, "two", claims)
	if status := review(t, admin, token); status.Authenticated || !strings.Contains(status.Error, "no keys found") {
		t.Errorf("a key that nobody has: %+v", status)
	}
	signer.Change(func(s *standinsigner.Signer) {
		s.Keys = append(s.Keys, &externaljwtv1.Key{KeyId: "two", Key: standinsigner.Encode(t, next.Public())})
	})
	if status := review(t, admin, token); !status.Authenticated {
		t.Errorf("a key that the signer has: %+v", status)
	}
	signer.Stop()
	if _, err := admin.AuthenticationV1().TokenReviews().Create(t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: signWith(t, next, "three", claims)},
	}, metav1.CreateOptions{}); err == nil || !strings.Contains(err.Error(), "the external signer does not tell whether it has the key of the token") {
		t.Errorf("without the signer: %v", err)
	}
	for _, token := range []string{known, token} {
		if status := review(t, admin, token); !status.Authenticated {
			t.Errorf("a known key, without the signer: %+v", status)
		}
	}
}

// TestNoTokensInSecretsWithExternalSigner: no token is made that never ends, and the server runs all the same.
func TestNoTokensInSecretsWithExternalSigner(t *testing.T) {
	t.Parallel()
	signer := standinsigner.New(t)
	signer.Start()
	server := testserver.Start(t, "--service-account-signing-endpoint="+signer.Socket)
	caller := server.Caller(server.AdminConfig())
	// The account is the work of a controller, so the controllers run when it is there.
	for {
		if _, status := caller.Do("GET /api/v1/namespaces/default/serviceaccounts/default", ""); status == http.StatusOK {
			break
		}
	}
	const secret = "{metadata: {name: s, annotations: {kubernetes.io/service-account.name: default}}, type: kubernetes.io/service-account-token}"
	caller.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/default/secrets", Body: secret, Status: http.StatusCreated},
		testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts/default/token", Body: "{}", Status: http.StatusCreated},
		testserver.Step{Request: "GET /api/v1/namespaces/default/secrets/s", Status: http.StatusOK, Want: "{data: null}"},
	)
}

// signWith returns a token that a key has signed.
func signWith(t *testing.T, key *ecdsa.PrivateKey, keyID string, claims map[string]any) string {
	t.Helper()
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	encoded := base64.RawURLEncoding.EncodeToString(text)
	signer := &standinsigner.Signer{Key: key, Header: strings.Replace(standinsigner.Header, "one", keyID, 1)}
	signed, err := signer.Sign(t.Context(), &externaljwtv1.SignJWTRequest{Claims: encoded})
	if err != nil {
		t.Fatal(err)
	}
	return signed.Header + "." + encoded + "." + signed.Signature
}

// TestStartWithExternalSigner: the rules of kube-apiserver hold at the start.
func TestStartWithExternalSigner(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		life  int64
		flags []string
		want  string
	}{
		{599, nil, "max token life supported by external-jwt-signer (599s) is less than acceptable (min 600s)"},
		{600, []string{"--service-account-max-token-expiration=1h"}, "service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: 1h0m0s > 10m0s"},
	} {
		signer := standinsigner.New(t)
		signer.Life = test.life
		signer.Start()
		cfg, err := testserver.Config(t, append(test.flags, "--service-account-signing-endpoint="+signer.Socket)...)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := apiserver.New(context.WithoutCancel(t.Context()), cfg); err == nil || err.Error() != test.want {
			t.Errorf("error %v, want %s", err, test.want)
		}
	}
}
