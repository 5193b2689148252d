package apiserver_test

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	mintmarkv1alpha1 "github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/testserver"
)

// signedWith returns the algorithm and the key id in the header of a token.
func signedWith(t *testing.T, token string) (algorithm, keyID string) {
	t.Helper()
	header, _, _ := strings.Cut(token, ".")
	text, err := base64.RawURLEncoding.DecodeString(header)
	if err != nil {
		t.Fatal(err)
	}
	var read struct{ Alg, Kid string }
	if err := json.Unmarshal(text, &read); err != nil {
		t.Fatal(err)
	}
	return read.Alg, read.Kid
}

// issueFor requests a token of the default account for some audiences.
func issueFor(t *testing.T, s *testserver.Server, audiences ...string) (string, error) {
	t.Helper()
	issue(t, s.Admin(), "default", nil) // when the account is there
	issued, err := s.Admin().CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: audiences}}, metav1.CreateOptions{})
	if err != nil {
		return "", err
	}
	return issued.Status.Token, nil
}

// storedKeys returns the objects of the signing keys by name.
func storedKeys(t *testing.T, s *testserver.Server) map[string]mintmarkv1alpha1.SigningKey {
	t.Helper()
	body, err := s.Admin().Discovery().RESTClient().Get().AbsPath("/apis/mintmark.io/v1alpha1/signingkeys").DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var list mintmarkv1alpha1.SigningKeyList
	if err := json.Unmarshal(body, &list); err != nil {
		t.Fatal(err)
	}
	keys := map[string]mintmarkv1alpha1.SigningKey{}
	for _, key := range list.Items {
		keys[key.Name] = key
	}
	return keys
}

// document returns a document of the issuer.
func document(t *testing.T, s *testserver.Server, path string) string {
	t.Helper()
	body, err := s.Admin().Discovery().RESTClient().Get().AbsPath(path).DoRaw(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return string(body)
}

// TestAudienceAlgorithms: an audience has its tokens signed with the algorithm that it takes, from the first start on. A
// token has one signature, so audiences that take different ones need two tokens. On both transports.
func TestAudienceAlgorithms(t *testing.T) {
	t.Parallel()
	for _, fast := range []string{"true", "false"} {
		s := testserver.Start(t, "--fast-path="+fast, "--audience-signing-algorithm=sts.amazonaws.com=RS256", "--audience-signing-algorithm=https://ed.example/?a=b=EdDSA")
		for _, test := range []struct {
			audiences []string
			want      string
		}{
			{nil, "ES256"},
			{[]string{"vault"}, "ES256"},
			{[]string{"sts.amazonaws.com"}, "RS256"},
			{[]string{"vault", "sts.amazonaws.com", "sts.amazonaws.com"}, "RS256"},
			{[]string{"https://ed.example/?a=b"}, "EdDSA"},
		} {
			token, err := issueFor(t, s, test.audiences...)
			if err != nil {
				t.Fatal(err)
			}
			if algorithm, _ := signedWith(t, token); algorithm != test.want {
				t.Errorf("a token for %q is signed with %s, want %s", test.audiences, algorithm, test.want)
			}
			answer, err := s.Admin().AuthenticationV1().TokenReviews().Create(t.Context(),
				&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: test.audiences}}, metav1.CreateOptions{})
			if err != nil || !answer.Status.Authenticated {
				t.Errorf("a token for %q is refused: %s, error %v", test.audiences, answer.Status.Error, err)
			}
		}
		_, err := issueFor(t, s, "sts.amazonaws.com", "https://ed.example/?a=b")
		const want = `tokens for "sts.amazonaws.com" are signed with RS256 and those for "https://ed.example/?a=b" with EdDSA: request a token for each of them`
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "spec.audiences: Invalid value") {
			t.Errorf("a token for both: %v", err)
		}
		if got := document(t, s, "/.well-known/openid-configuration"); !strings.Contains(got, `"id_token_signing_alg_values_supported":["ES256","EdDSA","RS256"]`) {
			t.Errorf("the discovery document is %s", got)
		}
	}
}

// TestKeysAreShared: replicas over one store have the same keys, whichever of them starts first, and a token of one is good
// at the other.
func TestKeysAreShared(t *testing.T) {
	t.Parallel()
	endpoint, _ := newEtcd(t)
	a, b := t.TempDir(), t.TempDir()
	kek := []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	for _, dir := range []string{a, b} {
		writeFile(t, filepath.Join(dir, "key-encryption.key"), kek)
	}
	const issuer = "--service-account-issuer=https://issuer.example"
	first := testserver.Start(t, "--data-dir="+a, "--etcd-servers="+endpoint, issuer)
	second := testserver.Start(t, "--data-dir="+b, "--etcd-servers="+endpoint, issuer, "--audience-signing-algorithm=sts.amazonaws.com=RS256")
	if one, other := document(t, first, "/openid/v1/jwks"), document(t, second, "/openid/v1/jwks"); one != other {
		t.Errorf("the key sets are %s and %s", one, other)
	}
	for _, pair := range [][2]*testserver.Server{{first, second}, {second, first}} {
		token, err := issueFor(t, pair[0], "https://issuer.example")
		if err != nil {
			t.Fatal(err)
		}
		if status := review(t, pair[1].Admin(), token); !status.Authenticated {
			t.Errorf("a token of the other replica is refused: %s", status.Error)
		}
	}
}

// TestUpgradeOfTwoSigningKeys starts with two data directories of a former version, each with a signing key, over one etcd. One
// key signs on, tokens of the other are accepted for as long as they may live, and neither is in a directory.
func TestUpgradeOfTwoSigningKeys(t *testing.T) {
	t.Parallel()
	endpoint, _ := newEtcd(t)
	a, b := newFormerDirectory(t), newFormerDirectory(t)
	kek := []byte(base64.StdEncoding.EncodeToString([]byte(strings.Repeat("k", 32))))
	var servers []*testserver.Server
	for _, f := range []formerDirectory{a, b} {
		writeFile(t, f.file("key-encryption.key"), kek)
		servers = append(servers, testserver.Start(t, "--data-dir="+f.path, "--etcd-servers="+endpoint, "--service-account-issuer=https://issuer.example"))
		if matches, _ := filepath.Glob(f.file("service-account.key")); len(matches) > 0 {
			t.Error("the signing key is in the data directory still")
		}
	}
	keys := storedKeys(t, servers[1])
	signs, verifies := keys["es256-1"], keys["es256-2"]
	if len(keys) != 2 || signs.Spec.SignsFrom == nil || verifies.Spec.SignsFrom != nil {
		t.Fatalf("the keys are %+v", keys)
	}
	for _, key := range keys {
		if key.Status.TokensUntil == nil || !key.Status.LegacyTokens || key.Spec.PrivateKey != "" {
			t.Errorf("%s: status %+v", key.Name, key.Status)
		}
	}
	for i, s := range servers {
		token, err := issueFor(t, s)
		if err != nil {
			t.Fatal(err)
		}
		if _, id := signedWith(t, token); id != signs.Spec.KeyID {
			t.Errorf("server %d signs with %s", i, id)
		}
		set := document(t, s, "/openid/v1/jwks")
		if !strings.Contains(set, signs.Spec.KeyID) || !strings.Contains(set, verifies.Spec.KeyID) {
			t.Errorf("server %d publishes %s", i, set)
		}
	}
}
