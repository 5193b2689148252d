package mintmarktest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
)

// ownUserAgent marks the requests of the methods of Server, which nothing stands in front of.
const ownUserAgent = "mintmarktest"

// Failure is what happens to a request instead of its answer. Of Cut, Status and Body, the first that is set counts.
type Failure struct {
	// Path is the end of the paths of the requests that fail, such as "/tokenreviews" or "/token". Default: all requests. Requests
	// that review many tokens (TokenReviewList) end with "/tokenreviews" as well: one of them fails as a whole.
	Path string
	// Delay is how long the request waits before anything else, by the machine's clock. With nothing else set it is answered
	// then.
	Delay time.Duration
	// Cut closes the connection without an answer. With HTTP/2 it resets the stream.
	Cut bool
	// Status is the code of the answer, such as 503, 429 or 500, with the object of Kubernetes for it.
	Status int
	// RetryAfter is the header of that name, in whole seconds.
	RetryAfter time.Duration
	// Body is the answer, as JSON with the code 200: one that is wrong in a way of the test's choice.
	Body string
}

// FailNext has the next requests fail, n of them. Requests of the methods of Server don't count and don't fail, those of
// Client do. Calls add up: later failures come after earlier ones for the same path.
func (s *Server) FailNext(n int, failure Failure) {
	s.intercept.mu.Lock()
	defer s.intercept.mu.Unlock()
	for range n {
		s.intercept.failures = append(s.intercept.failures, failure)
	}
}

// OnReview has a function see each review of a token with its verdict, before the verdict is sent. The function may change
// the status. It is called by the server, for one review at a time; for those of a TokenReviewList, too, that have a verdict. Nil
// ends it.
func (s *Server) OnReview(see func(review *authenticationv1.TokenReview)) {
	s.intercept.mu.Lock()
	defer s.intercept.mu.Unlock()
	s.intercept.review = see
}

// interceptor stands in front of a server.
type interceptor struct {
	mu       sync.Mutex
	failures []Failure
	review   func(*authenticationv1.TokenReview)
	// reviewing is held while review is called.
	reviewing sync.Mutex
}

// take returns the failure of a request, and removes it.
func (i *interceptor) take(r *http.Request) (Failure, bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for at, failure := range i.failures {
		if strings.HasSuffix(r.URL.Path, failure.Path) || strings.HasSuffix(asReview(r.URL.Path), failure.Path) {
			i.failures = append(i.failures[:at:at], i.failures[at+1:]...)
			return failure, true
		}
	}
	return Failure{}, false
}

// The ends of the paths of reviews of one token and of many.
const (
	reviewsPath = "/tokenreviews"
	listsPath   = "/tokenreviewlists"
)

// asReview returns the path of a request for many reviews as that of one.
func asReview(path string) string {
	if before, ok := strings.CutSuffix(path, listsPath); ok {
		return before + reviewsPath
	}
	return path
}

// sees returns the function that sees the review that a request asks for, if one does.
func (i *interceptor) sees(r *http.Request) func(*authenticationv1.TokenReview) {
	if r.Method != http.MethodPost || !strings.HasSuffix(asReview(r.URL.Path), reviewsPath) && r.URL.Path != "/authenticate" {
		return nil
	}
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.review
}

func (i *interceptor) handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.UserAgent() == ownUserAgent {
			next.ServeHTTP(w, r)
			return
		}
		if failure, ok := i.take(r); ok && failure.happens(w, r) {
			return
		}
		if see := i.sees(r); see != nil {
			i.show(see, next, w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// happens fails a request. It reports false if the request is to be answered after all.
func (f *Failure) happens(w http.ResponseWriter, r *http.Request) bool {
	if f.Delay > 0 {
		select {
		case <-time.After(f.Delay):
		case <-r.Context().Done():
			return true
		}
	}
	switch {
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.Status == 0 && f.Body == "":
		return false
	}
	w.Header().Set("Content-Type", "application/json")
	if f.RetryAfter > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(f.RetryAfter.Seconds())))
	}
	if f.Status == 0 {
		_, _ = fmt.Fprint(w, f.Body) // a client that is gone can't be told
		return true
	}
	w.WriteHeader(f.Status)
	_ = json.NewEncoder(w).Encode(metav1.Status{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Status"}, Status: metav1.StatusFailure,
		Code: int32(f.Status), Reason: reasons[f.Status], Message: "a failure that the test asked for",
	})
	return true
}

// reasons are the reasons that Kubernetes gives with a status code.
var reasons = map[int]metav1.StatusReason{
	http.StatusBadRequest:          metav1.StatusReasonBadRequest,
	http.StatusUnauthorized:        metav1.StatusReasonUnauthorized,
	http.StatusForbidden:           metav1.StatusReasonForbidden,
	http.StatusNotFound:            metav1.StatusReasonNotFound,
	http.StatusConflict:            metav1.StatusReasonConflict,
	http.StatusTooManyRequests:     metav1.StatusReasonTooManyRequests,
	http.StatusInternalServerError: metav1.StatusReasonInternalError,
	http.StatusServiceUnavailable:  metav1.StatusReasonServiceUnavailable,
	http.StatusGatewayTimeout:      metav1.StatusReasonTimeout,
}

// show has the reviews of an answer seen, and sends what is left of it.
func (i *interceptor) show(see func(*authenticationv1.TokenReview), next http.Handler, w http.ResponseWriter, r *http.Request) {
	r = r.Clone(r.Context())
	r.Header.Set("Accept", "application/json") // every client reads it
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client is gone
	}
	r.Body = io.NopCloser(bytes.NewReader(sent))
	answer := &recorder{header: http.Header{}, status: http.StatusOK}
	next.ServeHTTP(answer, r)
	body := answer.body.Bytes()
	if answer.status < http.StatusMultipleChoices {
		i.reviewing.Lock()
		if strings.HasSuffix(r.URL.Path, listsPath) {
			body = seeList(see, sent, body)
		} else {
			body = seeReview(see, body)
		}
		i.reviewing.Unlock()
	}
	maps.Copy(w.Header(), answer.header)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(answer.status)
	_, _ = w.Write(body) // a client that is gone can't be told
}

// seeReview has the review of an answer seen, and returns the answer with what was changed.
func seeReview(see func(*authenticationv1.TokenReview), body []byte) []byte {
	review := &authenticationv1.TokenReview{}
	if json.Unmarshal(body, review) != nil {
		return body
	}
	see(review)
	return encoded(review, body)
}

// seeList does the same for the reviews of a list. The answer has no specs: these are in the request.
func seeList(see func(*authenticationv1.TokenReview), sent, body []byte) []byte {
	asked, list := &v1alpha1.TokenReviewList{}, &v1alpha1.TokenReviewList{}
	if yaml.Unmarshal(sent, asked) != nil || json.Unmarshal(body, list) != nil || len(asked.Spec.Reviews) != len(list.Status.Results) {
		return body
	}
	for at := range list.Status.Results {
		status := list.Status.Results[at].Status
		if status == nil {
			continue
		}
		review := &authenticationv1.TokenReview{Spec: asked.Spec.Reviews[at], Status: *status}
		review.APIVersion, review.Kind = authenticationv1.SchemeGroupVersion.String(), "TokenReview"
		see(review)
		*status = review.Status
	}
	return encoded(list, body)
}

// encoded returns an object as JSON, or else the body that it came from.
func encoded(object any, body []byte) []byte {
	if changed, err := json.Marshal(object); err == nil {
		return changed
	}
	return body
}

// recorder keeps an answer.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *recorder) Header() http.Header            { return r.header }
func (r *recorder) WriteHeader(status int)         { r.status = status }
func (r *recorder) Write(data []byte) (int, error) { return r.body.Write(data) }
