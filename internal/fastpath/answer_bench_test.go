package fastpath_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// reviewer has one verdict about all tokens.
type reviewer struct{ verdict tokenreview.Verdict }

// Decide returns the verdict.
func (r reviewer) Decide(context.Context, *authenticationv1.TokenReviewSpec) (tokenreview.Verdict, error) {
	return r.verdict, nil
}

// discard is a client that reads no answer.
type discard struct{ header http.Header }

func (d discard) Header() http.Header          { return d.header }
func (discard) Write(part []byte) (int, error) { return len(part), nil }
func (discard) WriteHeader(int)                {}
func (d discard) answered() bool               { return len(d.header) > 0 }
func (d discard) clear()                       { clear(d.header) }

// BenchmarkAnswer takes a review through the whole handler, with authenticator, authorizer and reviewer that cost nothing.
func BenchmarkAnswer(b *testing.B) {
	d := &doors{}
	cfg := d.config()
	cfg.Reviewers = map[schema.GroupVersion]fastpath.Reviewer{
		authenticationv1.SchemeGroupVersion: reviewer{tokenreview.Verdict{User: &user.DefaultInfo{Name: "system:serviceaccount:default:app"}}},
	}
	h := fastpath.New(cfg)
	body := bytes.NewReader([]byte(reviewOf(secret)))
	request, err := http.NewRequestWithContext(b.Context(), http.MethodPost, reviewsPath, io.NopCloser(body))
	if err != nil {
		b.Fatal(err)
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("Authorization", "Bearer mine")
	w := discard{http.Header{}}
	b.ReportAllocs()
	for b.Loop() {
		body.Reset([]byte(reviewOf(secret)))
		w.clear()
		h.ServeHTTP(w, request)
		if !w.answered() {
			b.Fatal("handed over")
		}
	}
}
