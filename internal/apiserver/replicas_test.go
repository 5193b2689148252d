package apiserver_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestTwoReplicas runs two servers over one etcd that neither of them started. What one of them makes the other knows at
// once; what one of them deletes the other refuses as soon as its watch says so.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	flags := []string{
		"--etcd-servers=" + member.Endpoint(), "--controllers=", "--service-account-issuer=https://tokens.example",
		"--service-account-signing-key-file=" + key,
	}
	replicas := []*testserver.Server{testserver.Start(t, flags...), testserver.Start(t, flags...)}
	one, other := replicas[0].Admin(), replicas[1].Admin()
	accounts := one.CoreV1().ServiceAccounts("default")
	for range 5 {
		if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		token := issue(t, one, "app", nil)
		if status := review(t, other, token); !status.Authenticated {
			t.Fatalf("the other replica refuses at once: %s", status.Error)
		}
		if err := accounts.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		deleted := time.Now()
		for review(t, other, token).Authenticated {
			if time.Since(deleted) > 10*time.Second {
				t.Fatal("the other replica still accepts the token of a deleted account")
			}
		}
	}
	issuerMadeTwice(t, replicas)
}

// issuerMadeTwice makes two TrustedIssuers with one url through two replicas at the same moment, when neither of these knows of the
// other's. Then both replicas have the issuer's tokens checked by the same object, and by the other one when that is deleted.
func issuerMadeTwice(t *testing.T, replicas []*testserver.Server) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		t.Fatal(err)
	}
	names := []string{"a", "b"}
	for attempt := 0; ; attempt++ {
		var made atomic.Int32
		var both sync.WaitGroup
		for i, name := range names {
			both.Go(func() {
				body := "{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: " + name + "}, spec: {url: 'https://east.example', audiences: [vault], " +
					"kubernetes: {prefix: '" + name + ":'}, jwks: '" + string(keys) + "'}}"
				if _, status := replicas[i].Caller(replicas[i].AdminConfig()).Do("POST "+trustedIssuersPath, body); status == http.StatusCreated {
					made.Add(1)
				}
			})
		}
		both.Wait()
		if made.Load() == 2 {
			break
		}
		if attempt == 20 {
			t.Fatal("of two objects with one url, made at the same moment, one is always refused: this test tests nothing")
		}
		for _, name := range names {
			replicas[0].Caller(replicas[0].AdminConfig()).Do("DELETE "+trustedIssuersPath+"/"+name, "")
		}
	}
	token := clusterToken(t, key, "https://east.example", "vault")
	used := agreed(t, replicas, token)
	if _, status := replicas[0].Caller(replicas[0].AdminConfig()).Do("DELETE "+trustedIssuersPath+"/"+used, ""); status != http.StatusOK {
		t.Fatal(status)
	}
	if left := agreed(t, replicas, token); left == used || left == "" {
		t.Errorf("%q is used after %q was deleted", left, used)
	}
}

// agreed waits until all replicas have a token checked by the same object, and returns its name: the prefix of the user's.
func agreed(t *testing.T, replicas []*testserver.Server, token string) string {
	t.Helper()
	for begun := time.Now(); ; {
		var prefixes []string
		for _, replica := range replicas {
			status := review(t, replica.Admin(), token, "vault")
			prefix, _, _ := strings.Cut(status.User.Username, ":")
			prefixes = append(prefixes, prefix)
		}
		if prefixes[0] == prefixes[1] {
			return prefixes[0]
		}
		if time.Since(begun) > 10*time.Second {
			t.Fatalf("the replicas use %q", prefixes)
		}
	}
}

// clusterToken is a token of the account default/app of a cluster.
func clusterToken(t *testing.T, key jose.JSONWebKey, issuer, audience string) string {
	t.Helper()
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
	if err != nil {
		t.Fatal(err)
	}
	type m = map[string]any
	now := time.Now()
	token, err := josejwt.Signed(signer).Claims(m{
		"iss": issuer, "aud": audience, "sub": "system:serviceaccount:default:app", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
		"kubernetes.io": m{"namespace": "default", "serviceaccount": m{"name": "app", "uid": "u1"}},
	}).Serialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}
