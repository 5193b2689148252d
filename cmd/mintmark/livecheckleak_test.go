package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	josejwt "github.com/go-jose/go-jose/v4/jwt"
)

// liveCredential is the credential of all kubeconfigs for clusters.
const liveCredential = "clusters-7d0a3c95e1b6482f"

// talkativeCluster repeats the token that it is asked about, and the credential of the caller, in all that it says. The path says how.
func talkativeCluster(w http.ResponseWriter, r *http.Request) {
	var review struct {
		Spec struct {
			Token string `json:"token"`
		} `json:"spec"`
	}
	_ = json.NewDecoder(r.Body).Decode(&review) // an empty token is repeated as well
	said := review.Spec.Token + " " + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
	kind, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Said", said)
	switch kind {
	case "unauthorized":
		w.WriteHeader(http.StatusUnauthorized)
		_, _ = io.WriteString(w, said)
	case "redirected":
		w.Header().Set("Location", "https://127.0.0.1:1/"+strings.ReplaceAll(said, " ", "/"))
		w.WriteHeader(http.StatusTemporaryRedirect)
	case "garbled":
		_, _ = io.WriteString(w, said)
	default:
		_, _ = fmt.Fprintf(w, `{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "spec": {"token": %q}, "status": {"error": %q}}`, said, "I know "+said)
	}
}

// plantLiveChecks has the tokens of clusters accepted, each of which is asked about them, and adds a token of each, and the
// credential for them. It returns the names of the tokens.
func (l *leaks) plantLiveChecks(tokens map[string]string) (names []string) {
	l.t.Helper()
	cluster := httptest.NewTLSServer(http.HandlerFunc(talkativeCluster))
	l.t.Cleanup(cluster.Close)
	authority := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cluster.Certificate().Raw}))
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		l.t.Fatal(err)
	}
	key := jose.JSONWebKey{Key: private, KeyID: "1", Algorithm: "ES256", Use: "sig"}
	keys, err := json.Marshal(jose.JSONWebKeySet{Keys: []jose.JSONWebKey{key.Public()}})
	if err != nil {
		l.t.Fatal(err)
	}
	post := func(path string, object any) {
		body, err := json.Marshal(object)
		if err == nil {
			err = l.client.Discovery().RESTClient().Post().AbsPath(path).SetHeader("Content-Type", "application/json").Body(body).Do(l.t.Context()).Error()
		}
		if err != nil {
			l.t.Fatal(path, err)
		}
	}
	type m = map[string]any
	for _, kind := range []string{"unauthorized", "redirected", "garbled", "refused"} {
		post("/api/v1/namespaces/kube-system/secrets", m{"metadata": m{"name": kind}, "stringData": m{"kubeconfig": `{apiVersion: v1, kind: Config,
contexts: [{name: c, context: {cluster: c, user: u}}], clusters: [{name: c, cluster: {server: '` + cluster.URL + "/" + kind + `', certificate-authority-data: ` + authority + `}}],
users: [{name: u, user: {token: ` + liveCredential + `}}]}`}})
		post("/apis/mintmark.io/v1alpha1/trustedissuers", m{"metadata": m{"name": kind}, "spec": m{
			"url": "https://" + kind + ".example", "audiences": []string{"vault"}, "kubernetes": m{"prefix": kind + ":"}, "jwks": string(keys),
			"liveCheck": m{"kubeconfigSecret": m{"namespace": "kube-system", "name": kind}},
		}})
		signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key}, nil)
		if err != nil {
			l.t.Fatal(err)
		}
		now := time.Now()
		token, err := josejwt.Signed(signer).Claims(m{
			"iss": "https://" + kind + ".example", "aud": "vault", "sub": "system:serviceaccount:default:app", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
			"kubernetes.io": m{"namespace": "default", "serviceaccount": m{"name": "app", "uid": "u1"}},
		}).Serialize()
		if err != nil {
			l.t.Fatal(err)
		}
		tokens[kind], names = token, append(names, kind)
	}
	tokens["clusters'"] = liveCredential
	return names
}

// useLiveCheck has the cluster of a token asked about it, for each of the answers that can tell what the cluster said.
func (l *leaks) useLiveCheck(token string) {
	l.t.Helper()
	spec, asJSON := `"spec": {"token": "`+token+`", "audiences": ["vault"]}}`, http.Header{"Content-Type": {"application/json"}}
	review := `{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", ` + spec
	l.collect(http.MethodPost, "/authenticate", review, asJSON, l.admin, true)
	l.collect(http.MethodPost, "/apis/authentication.k8s.io/v1/tokenreviews", review, asJSON, l.admin, false)
	l.collect(http.MethodPost, "/apis/mintmark.io/v1alpha1/tokenexplanations", `{"kind": "TokenExplanation", "apiVersion": "mintmark.io/v1alpha1", `+spec, asJSON, l.admin, true)
	l.collect(http.MethodPost, "/apis/mintmark.io/v1alpha1/tokenreviewlists", `{"kind": "TokenReviewList", "apiVersion": "mintmark.io/v1alpha1", "spec": {"reviews": [{"token": "`+
		token+`", "audiences": ["vault"]}]}}`, asJSON, l.admin, true)
}

// checkLiveChecks looks at what is noted about the clusters, and that the answers tell what they said.
func (l *leaks) checkLiveChecks() {
	l.t.Helper()
	l.collect(http.MethodGet, "/apis/mintmark.io/v1alpha1/trustedissuers", "", nil, l.admin, true)
	for _, want := range []string{"I know [token] [token]", "does not know the credential", "redirect (307 Temporary Redirect)", "is no TokenReview"} {
		if !strings.Contains(l.answers.String(), want) {
			l.t.Errorf("no answer says %q, though a cluster gave cause to", want)
		}
	}
}
