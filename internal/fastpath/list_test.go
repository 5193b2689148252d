package fastpath_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

const listsPath = "/apis/mintmark.io/v1alpha1/tokenreviewlists"

// listOf is a list of reviews; audiences are behind a comma.
func listOf(reviews ...string) string {
	list := v1alpha1.TokenReviewList{TypeMeta: metav1.TypeMeta{Kind: "TokenReviewList", APIVersion: "mintmark.io/v1alpha1"}}
	for _, review := range reviews {
		token, audiences, _ := strings.Cut(review, ",")
		spec := authenticationv1.TokenReviewSpec{Token: token}
		if audiences != "" {
			spec.Audiences = strings.Split(audiences, ",")
		}
		list.Spec.Reviews = append(list.Spec.Reviews, spec)
	}
	text, _ := json.Marshal(list) // it always can
	return string(text)
}

// listBodies are what clients send, and what none should.
var listBodies = []string{
	listOf("x"), listOf("x", "y,a,b", "", "x,a"), `{"spec":{"reviews":[{"token":"x"},{}]}}`, `{"spec":{"reviews":[]}}`, `{"spec":{"reviews":null}}`, `{"spec":{"reviews":[null]}}`,
	`{"spec":{"reviews":[{"token":"x"},]}}`, `{"spec":{"reviews":[{"token":"x"} {"token":"x"}]}}`, `{"spec":{"reviews":{"token":"x"}}}`, `{"spec":{"reviews":[{"token":"x"}],"reviews":[{"token":"y"}]}}`,
	`{"spec":{"reviews":[{"token":"x","unknown":1}]}}`, `{"spec":{"reviews":[{"token":"x"}]},"status":{"results":null}}`, `{"spec":{"reviews":[{"token":"x"}]},"status":{"results":[]}}`,
	`{"spec":{"reviews":[{"token":"x"}]},"status":{}}`, `{"kind":"TokenReview","apiVersion":"authentication.k8s.io/v1","spec":{"token":"x"}}`, `{"items":[{"spec":{"token":"x"}}]}`,
	`{"kind":"TokenReviewList","apiVersion":"mintmark.io/v1","spec":{"reviews":[{"token":"x"}]}}`, `{"spec":{"reviews":[[{"token":"x"}]]}}`, `{"spec":{"reviews":[{"token":"ü"}]}}`,
	`{"metadata":{"name":"n"},"spec":{"reviews":[{"token":"x"}]}}`, `{"spec":{"token":"x"}}`, `{}`, `[]`, ``,
}

// lister answers lists with results, and notes what it was asked.
type lister struct {
	doors
	specs   []authenticationv1.TokenReviewSpec
	results []tokenreview.Result
}

func (l *lister) DecideAll(_ context.Context, _ user.Info, specs []authenticationv1.TokenReviewSpec) ([]tokenreview.Result, error) {
	l.specs = specs
	return l.results, nil
}

// FuzzLists sends lists that may be anything: what the fast path answers, the library reads as the same object, strictly and without a
// warning; what it doesn't answer gets to the library as it came.
func FuzzLists(f *testing.F) {
	for _, body := range listBodies {
		f.Add([]byte(body))
	}
	gv := v1alpha1.SchemeGroupVersion
	kind := gv.WithKind("TokenReviewList")
	info, _ := runtime.SerializerInfoForMediaType(scheme.SerializerFor(gv).SupportedMediaTypes(), "application/json")
	f.Fuzz(func(t *testing.T, body []byte) {
		l := &lister{results: []tokenreview.Result{}}
		cfg := l.config()
		cfg.Next, cfg.Lists = l, l
		sent := bytes.Clone(body)
		answer := post(t, cfg, listsPath, body, "application/json")
		if answer.Code != http.StatusCreated {
			if !bytes.Equal(l.passed, sent) || l.authorization != "Bearer mine" {
				t.Fatalf("the library gets %q", l.passed)
			}
			return
		}
		object, _, err := scheme.SerializerFor(gv).DecoderToVersion(info.StrictSerializer, gv).Decode(bytes.Clone(sent), &kind, nil)
		if err != nil {
			t.Fatalf("the library takes it not: %v", err)
		}
		list := object.(*v1alpha1.TokenReviewList)
		if diff := cmp.Diff(list.Spec.Reviews, l.specs); diff != "" || cmp.Diff(metav1.ObjectMeta{}, list.ObjectMeta) != "" || len(l.specs) == 0 {
			t.Fatal(diff, list.ObjectMeta)
		}
	})
}

// FuzzListAnswers answers with texts that may be anything: they are written byte for byte as the library writes them.
func FuzzListAnswers(f *testing.F) {
	f.Add("ann", "uid", "g", "key", "reason", 0)
	f.Add("", "", "", "", "", 3)
	f.Add("<ann> & \u2028 ü", "\x00\x1f\x7f", "\xff\xfe", "\"\\", "\n\t\r\b\f", -1)
	f.Fuzz(func(t *testing.T, name, uid, group, key, text string, seconds int) {
		l := &lister{results: []tokenreview.Result{
			{Verdict: tokenreview.Verdict{Error: text, Reason: reason.UnknownToken}},
			{Verdict: tokenreview.Verdict{
				User:      &user.DefaultInfo{Name: name, UID: uid, Groups: []string{group}, Extra: map[string][]string{key: {group}, "nothing": {}, "null": nil}},
				Audiences: authenticator.Audiences{uid}, Reason: reason.Accepted,
			}},
			{Err: apierrors.NewTimeoutError(text, seconds)},
			{Err: errors.New(text)},
			{Err: apierrors.NewBadRequest(text)},
		}}
		cfg := l.config()
		cfg.Lists = l
		want := &v1alpha1.TokenReviewList{}
		for i := range l.results {
			want.Status.Results = append(want.Status.Results, l.results[i].API())
		}
		gv := v1alpha1.SchemeGroupVersion
		info, _ := runtime.SerializerInfoForMediaType(scheme.SerializerFor(gv).SupportedMediaTypes(), "application/json")
		encoded, err := runtime.Encode(scheme.SerializerFor(gv).EncoderForVersion(info.Serializer, gv), want)
		if err != nil {
			t.Fatal(err)
		}
		if got := post(t, cfg, listsPath, []byte(listOf("x")), "application/json"); !bytes.Equal(got.Body.Bytes(), encoded) {
			t.Fatalf("%q, want %q", got.Body, encoded)
		}
	})
}

// TestLists compares each result of a list with the answer to a TokenReview of the same spec, on both transports.
func TestLists(t *testing.T) {
	t.Parallel()
	hook := newWebhook(t)
	s := start(t, []string{"all-token,all,all-uid,reviewers", "nobody-token,nobody,nobody-uid"}, hook.flag, "--max-mutating-requests-inflight=8")
	specs := []string{
		s.token, "all-token", "wrong", "", " ", " " + s.token, s.token + " more", s.token + "\n", s.token[:len(s.token)-6] + "AAAAAA",
		s.token + ",vault", s.token + ",https://tokens.example,vault", "all-token,vault", "ü", `"\`, strings.Repeat("x", 70<<10), "nobody-token",
	}
	var lists [2]string
	for side, header := range []string{shapes["fast"], shapes["generic"]} {
		c := as(t, s.fast, "all-token")
		answer := c.mustPost(t, 201, listsPath, listOf(specs...), header)
		if strings.Contains(answer.body, s.token[:40]) {
			t.Error("a token is in the answer")
		}
		var list v1alpha1.TokenReviewList
		if err := json.Unmarshal([]byte(answer.body), &list); err != nil || len(list.Status.Results) != len(specs) {
			t.Fatal(len(list.Status.Results), err)
		}
		for i, result := range list.Status.Results {
			compareWithSingle(t, c, specs[i], result, header)
		}
		text, err := json.Marshal(list)
		if err != nil {
			t.Fatal(err)
		}
		lists[side] = string(text)
	}
	if diff := cmp.Diff(lists[0], lists[1]); diff != "" {
		t.Error(diff)
	}
	t.Run("sizes", func(t *testing.T) { testListSizes(t, s) })
	t.Run("limit", func(t *testing.T) { testListLimit(t, s, hook) })
}

func compareWithSingle(t *testing.T, c caller, spec string, result v1alpha1.TokenReviewResult, header string) {
	t.Helper()
	token, audiences, _ := strings.Cut(spec, ",")
	review := review(token)
	if audiences != "" {
		review.Spec.Audiences = strings.Split(audiences, ",")
	}
	body, err := json.Marshal(review)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.post(t.Context(), reviewsPath, string(body), header)
	if err != nil {
		t.Fatal(err)
	}
	if answer.status != http.StatusCreated {
		var status metav1.Status
		if err := json.Unmarshal([]byte(answer.body), &status); err != nil {
			t.Fatal(err)
		}
		want := &v1alpha1.TokenReviewFailure{Code: status.Code, Reason: status.Reason, Message: status.Message}
		if status.Details != nil {
			want.RetryAfterSeconds = status.Details.RetryAfterSeconds
		}
		if diff := cmp.Diff(want, result.Failure); diff != "" || result.Status != nil {
			t.Errorf("%.20q: %s", spec, diff)
		}
		return
	}
	var single authenticationv1.TokenReview
	if err := json.Unmarshal([]byte(answer.body), &single); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(&single.Status, result.Status); diff != "" || result.Failure != nil {
		t.Errorf("%.20q: %v %s", spec, result.Failure, diff)
	}
}

// testListSizes sends lists of all sizes, and such as are to be refused.
func testListSizes(t *testing.T, s *servers) {
	c := as(t, s.fast, "all-token")
	for _, test := range []struct {
		n, status int
		want      string
	}{
		{0, 422, `spec.reviews: Required value: name at least one token to review`},
		{1, 201, `"authenticated":`},
		{1000, 201, `"authenticated":`},
		{1001, 422, `spec.reviews: Too many: 1001: must have at most 1000 items; send the others in further requests`},
	} {
		many := make([]string, test.n)
		for i := range many {
			many[i] = s.token
		}
		for side, header := range shapes {
			answer := c.mustPost(t, test.status, listsPath, listOf(many...), header, "Accept-Encoding: gzip")
			if got := strings.Count(answer.body, test.want); got != max(test.n%1001, 1) || answer.header.Get("Content-Encoding") != "" {
				t.Errorf("%d on the %s side: %d times %q in %.300s", test.n, side, got, test.want, answer.body)
			}
		}
	}
	for _, header := range shapes {
		c.mustPost(t, 413, listsPath, listOf(strings.Repeat("x", 3<<20)), header)
		as(t, s.fast, "wrong").mustPost(t, 401, listsPath, listOf(s.token), header)
		refused := as(t, s.fast, "nobody-token").mustPost(t, 403, listsPath, listOf(s.token), header)
		if want := fmt.Sprintf("%q in API group %q", "tokenreviews", "authentication.k8s.io"); !strings.Contains(strings.ReplaceAll(refused.body, `\`, ""), want) {
			t.Errorf("%s does not say %s", refused.body, want)
		}
	}
}

// testListLimit has half of the eight places taken. There is room for a list of twenty, which takes three, and not for one of fifty,
// which takes five.
func testListLimit(t *testing.T, s *servers, hook *webhook) {
	c := as(t, s.fast, "all-token")
	done := make(chan error)
	for i := range 4 {
		go func() {
			_, err := c.post(context.WithoutCancel(t.Context()), reviewsPath, reviewOf(fmt.Sprint("blocked-", i)), shapes["fast"])
			done <- err
		}()
		<-hook.asked
	}
	few, many := make([]string, 20), make([]string, 50)
	for _, header := range shapes {
		c.mustPost(t, 201, listsPath, listOf(few...), header)
		got := c.mustPost(t, 429, listsPath, listOf(many...), header)
		if got.header.Get("Retry-After") != "1" || !strings.Contains(got.body, "or with fewer reviews in one list") {
			t.Errorf("%v %s", got.header, got.body)
		}
	}
	for range 4 {
		hook.release <- struct{}{}
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	for _, header := range shapes {
		c.mustPost(t, 201, listsPath, listOf(many...), header)
	}
}
