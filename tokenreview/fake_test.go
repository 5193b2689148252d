package tokenreview_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/tokenreview"
)

// fake is a server that reviews: a token is good if it is among the good ones. A test tells it what to do otherwise.
type fake struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	good    map[string]authenticationv1.TokenReviewStatus
	answer  func(w http.ResponseWriter, r *http.Request) bool // reports whether it has answered
	reviews int
	many    bool // takes lists of reviews
	bearers []string
	feed    func(w http.ResponseWriter, r *http.Request)
}

const fakeIssuer = "https://tokens.example"

// hugeList is the longest list that the fake takes.
const hugeList = 64 << 10

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{t: t, good: map[string]authenticationv1.TokenReviewStatus{}}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", f.review)
	mux.HandleFunc("GET /apis/mintmark.io/v1alpha1/tokenreviewevents", func(w http.ResponseWriter, r *http.Request) {
		f.mu.Lock()
		feed := f.feed
		f.mu.Unlock()
		if feed == nil {
			http.NotFound(w, r)
			return
		}
		feed(w, r)
	})
	mux.HandleFunc("POST /apis/mintmark.io/v1alpha1/tokenreviewlists", f.reviewList)
	f.Server = httptest.NewServer(mux)
	t.Cleanup(func() {
		f.CloseClientConnections()
		f.Close()
	})
	return f
}

func (f *fake) review(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	f.reviews++
	f.bearers = append(f.bearers, r.Header.Get("Authorization"))
	answer := f.answer
	f.mu.Unlock()
	if answer != nil && answer(w, r) {
		return
	}
	var review authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&review); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	f.mu.Lock()
	status, ok := f.good[review.Spec.Token]
	f.mu.Unlock()
	if !ok {
		status.Error = "invalid bearer token " + review.Spec.Token // which a server must not say
	}
	review.Spec, review.Status = authenticationv1.TokenReviewSpec{}, status
	w.WriteHeader(http.StatusCreated)
	_ = json.NewEncoder(w).Encode(review)
}

// reviewList reviews several tokens, if the server takes them.
func (f *fake) reviewList(w http.ResponseWriter, r *http.Request) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if !f.many {
		http.NotFound(w, r)
		return
	}
	f.reviews++
	if r.ContentLength > hugeList {
		http.Error(w, "too large", http.StatusRequestEntityTooLarge)
		return
	}
	var list struct {
		Spec struct {
			Reviews []authenticationv1.TokenReviewSpec `json:"reviews"`
		} `json:"spec"`
	}
	_ = json.NewDecoder(r.Body).Decode(&list)
	var results []map[string]any
	for _, spec := range list.Spec.Reviews {
		if spec.Token == "undecided" {
			results = append(results, map[string]any{"failure": map[string]any{"code": 503}})
			continue
		}
		results = append(results, map[string]any{"status": f.good[spec.Token]})
	}
	_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"results": results}})
}

// set has the server answer reviews in another way.
func (f *fake) set(answer func(w http.ResponseWriter, r *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.answer = answer
}

func (f *fake) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reviews
}

func (f *fake) allow(token string, status authenticationv1.TokenReviewStatus) {
	f.mu.Lock()
	defer f.mu.Unlock()
	status.Authenticated = true
	f.good[token] = status
}

// client returns a client of the server.
func (f *fake) client(cfg tokenreview.Config) *tokenreview.Client {
	f.t.Helper()
	if cfg.Server == nil {
		cfg.Server = &rest.Config{Host: f.URL}
	}
	client, err := tokenreview.New(cfg)
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(client.Close)
	return client
}

// jwt returns a token that no key has signed.
func jwt(claims map[string]any) string {
	payload, _ := json.Marshal(claims)
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(`{"alg":"ES256","kid":"k"}`)) + "." + encode(payload) + "." + encode([]byte("signature"))
}

// account is the status of a good token of a service account.
func account(name string, audiences ...string) authenticationv1.TokenReviewStatus {
	return authenticationv1.TokenReviewStatus{
		User: authenticationv1.UserInfo{
			Username: "system:serviceaccount:shop:" + name, UID: "1", Groups: []string{"system:serviceaccounts"},
			Extra: map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/pod-name": {name + "-0"}},
		},
		Audiences: audiences,
	}
}

// watched is a feed that a test speaks for.
type watched struct {
	t     *testing.T
	lines chan any
	mu    sync.Mutex
	from  []string // the versions of the watches
	gone  bool     // the next watch is refused
	deaf  bool     // lines are not sent
}

func newWatched(f *fake) *watched {
	w := &watched{t: f.t, lines: make(chan any)}
	f.feed = w.serve
	return w
}

func (w *watched) serve(rw http.ResponseWriter, r *http.Request) {
	w.mu.Lock()
	from := r.URL.Query().Get("resourceVersion")
	w.from = append(w.from, from)
	gone := w.gone && from != ""
	w.mu.Unlock()
	if gone {
		rw.WriteHeader(http.StatusGone)
		return
	}
	rw.WriteHeader(http.StatusOK)
	rw.(http.Flusher).Flush()
	proofs := time.NewTicker(20 * time.Millisecond)
	defer proofs.Stop()
	for n := 1; ; n++ {
		var line any
		select {
		case line = <-w.lines:
		case <-proofs.C:
			line = event("BOOKMARK", v1alpha1.TokenReviewEvent{
				ObjectMeta: metav1.ObjectMeta{ResourceVersion: fmt.Sprint(100 + n)},
				Proof:      &v1alpha1.TokenReviewProof{Time: metav1.NowMicro(), Configuration: "one", Issuers: []string{fakeIssuer}},
			})
		case <-r.Context().Done():
			return
		}
		w.mu.Lock()
		deaf := w.deaf
		w.mu.Unlock()
		if line == nil {
			return
		}
		if deaf {
			continue
		}
		_ = json.NewEncoder(rw).Encode(line)
		rw.(http.Flusher).Flush()
	}
}

func event(kind string, object v1alpha1.TokenReviewEvent) any {
	return map[string]any{"type": kind, "object": object}
}

// ended tells the client that an object has ended, and returns when it has been sent.
func (w *watched) ended(resource, name string) {
	w.lines <- event("ADDED", v1alpha1.TokenReviewEvent{
		ObjectMeta: metav1.ObjectMeta{ResourceVersion: "50"}, Object: &v1alpha1.EndedObject{Resource: resource, Namespace: "shop", Name: name},
	})
}

// eventually fails the test unless a condition is soon true.
func eventually(t *testing.T, what string, condition func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		if condition() {
			return
		}
	}
	t.Fatalf("not within 20 seconds: %s", what)
}
