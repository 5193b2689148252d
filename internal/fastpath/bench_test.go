package fastpath

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/tokenreview"
)

// reviewBody is what client-go sends, with a token as long as one that is bound to a pod.
var reviewBody = `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"token":"` +
	strings.Repeat("eyJhbGciOiJFUzI1NiIsImtpZCI6I", 40) + `","audiences":["https://issuer.example"]},"status":{"user":{}}}`

// requestBody is what a kubelet asks for.
const requestBody = `{"kind":"TokenRequest","apiVersion":"authentication.k8s.io/v1","metadata":{},"spec":{"audiences":["https://issuer.example"],` +
	`"expirationSeconds":3607,"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"app-0","uid":"7c1a0d3e-3e0f-4a3c-9a52-0d7f1b0a8f11"}},"status":{"token":"","expirationTimestamp":null}}`

// BenchmarkRoute finds out which endpoint a request is for, and that it is of the common shape.
func BenchmarkRoute(b *testing.B) {
	h := New(Config{Reviewers: map[schema.GroupVersion]Reviewer{authenticationv1.SchemeGroupVersion: tokenreview.New(tokenreview.Config{})}})
	header := http.Header{
		"Authorization": {"Bearer x"}, "Accept": {"application/json, */*"}, "Content-Type": {"application/json"},
		"User-Agent": {"kube-apiserver/v1.37.2"}, "Accept-Encoding": {"gzip"}, "Content-Length": {"1305"},
	}
	for _, path := range []string{"/apis/authentication.k8s.io/v1/tokenreviews", "/api/v1/namespaces/default/serviceaccounts/app/token", "/readyz"} {
		b.Run(path[strings.LastIndexByte(path, '/')+1:], func(b *testing.B) {
			r := &http.Request{Method: http.MethodPost, URL: &url.URL{Path: path}, Header: header}
			b.ReportAllocs()
			for b.Loop() {
				if route, _, _ := h.match(r); (route == nil) != (path == "/readyz") {
					b.Fatal("another route")
				}
				if _, _, ok := negotiate(r.Header, nil); !ok {
					b.Fatal("not of the common shape")
				}
			}
		})
	}
}

// BenchmarkDecode reads a body.
func BenchmarkDecode(b *testing.B) {
	for name, route := range map[string]*route{"review": {reviewer: tokenreview.New(tokenreview.Config{})}, "request": {}} {
		b.Run(name, func(b *testing.B) {
			c := &call{route: route}
			c.payload.body.read = []byte(requestBody)
			if name == "review" {
				c.payload.body.read = []byte(reviewBody)
			}
			b.ReportAllocs()
			for b.Loop() {
				if !c.decode() {
					b.Fatal("not of the common shape")
				}
			}
		})
	}
}

// BenchmarkEncode writes the answer to a review.
func BenchmarkEncode(b *testing.B) {
	c := &call{route: &route{reviewer: tokenreview.New(tokenreview.Config{})}, payload: payload{body: newBody()}}
	c.payload.body.read = []byte(reviewBody)
	if !c.decode() {
		b.Fatal("not of the common shape")
	}
	c.answer.verdict = tokenreview.Verdict{Audiences: c.payload.review.Spec.Audiences, User: &user.DefaultInfo{
		Name: "system:serviceaccount:default:app", UID: "7c1a0d3e-3e0f-4a3c-9a52-0d7f1b0a8f11",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"},
		Extra:  map[string][]string{"authentication.kubernetes.io/credential-id": {"JTI=7c1a0d3e-3e0f-4a3c-9a52-0d7f1b0a8f11"}},
	}}
	b.ReportAllocs()
	for b.Loop() {
		c.payload.body.out = c.payload.body.out[:0]
		if !c.encode() {
			b.Fatal("no answer")
		}
	}
}
