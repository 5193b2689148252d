package apiserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// mint signs tokens of clusters with one key.
type mint struct {
	signer jose.Signer
	set    string // its key set
}

func newMint(t *testing.T) mint {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	public := jose.JSONWebKey{Key: key.Public(), KeyID: "k", Algorithm: "ES256", Use: "sig"}
	set, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{public}})
	if err != nil {
		t.Fatal(err)
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: "k"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return mint{signer, string(set)}
}

// token is a token for the audience vault of an account of a cluster.
func (m mint) token(t *testing.T, issuer, account string) string {
	t.Helper()
	now := time.Now().Unix()
	claims := fmt.Sprintf(`{"iss":%q,"aud":["vault"],"sub":"system:serviceaccount:default:%s","iat":%d,"nbf":%[3]d,"exp":%d,"jti":%[2]q,`+
		`"kubernetes.io":{"namespace":"default","serviceaccount":{"name":%[2]q,"uid":"u1"}}}`, issuer, account, now, now+3600)
	signed, err := m.signer.Sign([]byte(claims))
	if err != nil {
		t.Fatal(err)
	}
	text, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// reviewVault reviews a token for the audience vault.
func reviewVault(ctx context.Context, client kubernetes.Interface, token string) (bool, error) {
	review, err := client.AuthenticationV1().TokenReviews().Create(ctx, &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"vault"}},
	}, metav1.CreateOptions{})
	if err == nil && review.Status.Error != "" {
		err = errors.New(review.Status.Error)
	}
	return err == nil && review.Status.Authenticated, err
}

// TestSickIssuers: while issuers and clusters are down or hang, and many reviews wait for them, the reviews of a hundred other issuers'
// tokens take no longer, and none is refused or told to try again.
func TestSickIssuers(t *testing.T) {
	t.Parallel()
	const healthy, waiting = 100, 300 // more than a server answers at a time
	here := testserver.Start(t, "--controllers=", "--allow-private-issuers=127.0.0.0/8")
	admin, mint := here.Caller(here.AdminConfig()), newMint(t)
	// Requests of administrators are answered whatever else waits.
	of := cluster{here, t}
	waits, caller := here.As(of.reviewer("waits")), here.Caller(here.TokenConfig(of.reviewer("reviewer")))
	ctx, cancel := context.WithCancel(t.Context())
	arrived := make(chan struct{}, waiting)
	hanging := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		select {
		case <-ctx.Done():
		case <-r.Context().Done():
		}
	}))
	defer hanging.Close()
	defer cancel()
	silent, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0") // accepts, and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: hanging.Certificate().Raw})
	quoted, _ := json.Marshal(string(authority))
	kubeconfig := `{apiVersion: v1, kind: Config, contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: '` + hanging.URL +
		`', certificate-authority-data: ` + base64.StdEncoding.EncodeToString(authority) + `}}], users: [{name: u, user: {token: t}}]}`
	issuers := map[string]string{
		"down":   "jwksURI: 'https://127.0.0.1:1'",
		"silent": "jwksURI: 'https://" + silent.Addr().String() + "'",
		"hangs":  "jwksURI: '" + hanging.URL + "', certificateAuthority: " + string(quoted),
		"live":   "jwks: '" + mint.set + "', liveCheck: {kubeconfigSecret: {namespace: kube-system, name: live}}",
	}
	sick := []string{"down", "silent", "hangs", "live"}
	for i := range healthy {
		issuers[fmt.Sprintf("good-%d", i)] = "jwks: '" + mint.set + "'"
	}
	url := func(name string) string { return "https://" + name + ".example" }
	admin.Run(testserver.Step{Request: "POST " + secretsPath, Status: 201, Body: secret("live", kubeconfig)})
	for name, keys := range issuers {
		admin.Run(testserver.Step{Request: "POST " + trustedIssuersPath, Status: 201, Body: fmt.Sprintf(
			"{apiVersion: mintmark.io/v1alpha1, kind: TrustedIssuer, metadata: {name: %s}, spec: {url: '%s', audiences: [vault], kubernetes: {prefix: '%s:'}, %s}}", name, url(name), name, keys)})
	}
	tokens := make([]string, 0, 3*healthy)
	for i := range cap(tokens) {
		tokens = append(tokens, mint.token(t, url(fmt.Sprintf("good-%d", i%healthy)), fmt.Sprintf("app-%d", i)))
	}
	var wait, sent sync.WaitGroup
	sent.Add(waiting)
	for i := range waiting {
		done := sync.OnceFunc(sent.Done) // a client that is told to try again writes again
		first := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{WroteRequest: func(httptrace.WroteRequestInfo) { done() }})
		name := sick[i%len(sick)]
		token := mint.token(t, url(name), fmt.Sprintf("app-%d", i))
		wait.Go(func() {
			for of := first; ctx.Err() == nil; of = ctx {
				if good, _ := reviewVault(of, waits, token); good {
					t.Errorf("a token of %s was accepted", name)
				}
				select { // as a client that was told to try again
				case <-time.After(time.Second):
				case <-ctx.Done():
				}
			}
		})
	}
	sent.Wait()
	for range 8 { // calls of live checks
		<-arrived
	}
	var took []time.Duration
	for _, token := range tokens {
		begun := time.Now()
		caller.Run(reviewStep(token, 201, "{status: {authenticated: true}}"))
		took = append(took, time.Since(begun))
	}
	cancel()
	wait.Wait()
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	t.Logf("reviews of the others: p50 %s, p99 %s", p50, p99)
	if p99 > 2*time.Second { // so long do reviews wait for keys, and longer for a cluster
		t.Errorf("p99 is %s", p99)
	}
}
