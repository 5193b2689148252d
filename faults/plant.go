package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
)

// plant is a bug that the servers seem to have: it changes what they are asked, or what they answer, on the way. It shows
// that a check finds such a bug.
type plant struct {
	// what describes the bug.
	what string
	// bend makes the transport of one replica behave like it.
	bend func(r *replica, next http.RoundTripper) http.RoundTripper
}

// unstored has a write acknowledged and not stored, one time in four.
func unstored(method, resource string) plant {
	return plant{
		"acknowledges " + method + " of " + resource + " and stores nothing, one time in four",
		func(_ *replica, next http.RoundTripper) http.RoundTripper {
			var n atomic.Int64
			return roundTripper(func(request *http.Request) (*http.Response, error) {
				concerned := request.Method == method && strings.Contains(request.URL.Path, resource) && !strings.HasSuffix(request.URL.Path, "/token")
				if concerned && n.Add(1)%4 == 0 {
					return answer([]byte(`{"metadata":{"uid":"planted"}}`)), nil
				}
				return next.RoundTrip(request)
			})
		},
	}
}

var plants = map[string]plant{
	"none":            {"", func(_ *replica, next http.RoundTripper) http.RoundTripper { return next }},
	"lost-write":      unstored(http.MethodPost, "/serviceaccounts"),
	"lost-delete":     unstored(http.MethodDelete, "/pods"),
	"lost-revocation": unstored(http.MethodPost, "/tokenrevocations"),
	"cached-verdict": {"keeps a yes for five seconds", func(_ *replica, next http.RoundTripper) http.RoundTripper {
		return &memory{next: next, life: 5 * time.Second}
	}},
	"late-watch": {"keeps a yes for five seconds, unless it acknowledged a write itself", func(_ *replica, next http.RoundTripper) http.RoundTripper {
		return &memory{next: next, life: 5 * time.Second, ownWrites: true}
	}},
	"no-bound": {"keeps its last yes for as long as it has no newer verdict", func(_ *replica, next http.RoundTripper) http.RoundTripper {
		return &memory{next: next, unlessAnswered: true}
	}},
	"new-token-refused": {"refuses a token that it sees for the first time, one time in ten", func(_ *replica, next http.RoundTripper) http.RoundTripper {
		return &memory{next: next, refuseNew: true}
	}},
	"account-not-there": {"does not know an account that another replica has just made, one time in ten", accountNotThere},
	"half-made":         {"leaves a temporary file in its data directory", nil},
}

func plantNames() []string { return slices.Sorted(maps.Keys(plants)) }

func choosePlant(name string) (*plant, error) {
	if name == "" {
		name = "none"
	}
	p, ok := plants[name]
	if !ok {
		return nil, fmt.Errorf("there is no plant %q; there are %s", name, strings.Join(plantNames(), ", "))
	}
	return &p, nil
}

// transport returns what makes the bug out of the transport to one replica.
func (p *plant) transport(r *replica) func(http.RoundTripper) http.RoundTripper {
	if p.bend == nil {
		p = &plant{bend: plants["none"].bend}
	}
	return func(next http.RoundTripper) http.RoundTripper { return p.bend(r, next) }
}

type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// memory answers reviews of tokens from what was answered before.
type memory struct {
	next           http.RoundTripper
	life           time.Duration
	ownWrites      bool
	unlessAnswered bool
	refuseNew      bool

	mu   sync.Mutex
	seen map[string]remembered
	n    int
}

type remembered struct {
	answer []byte
	at     time.Time
}

var (
	yes = []byte(`"authenticated":true`)
	no  = []byte(`"authenticated":false,"error":"planted"`)
)

func (m *memory) RoundTrip(request *http.Request) (*http.Response, error) {
	text, err := io.ReadAll(request.Body)
	if err != nil {
		return nil, err
	}
	request.Body = io.NopCloser(bytes.NewReader(text))
	asked := string(text)
	if !strings.HasSuffix(request.URL.Path, "/tokenreviews") {
		if m.ownWrites && (request.Method == http.MethodDelete || strings.HasSuffix(request.URL.Path, "/tokenrevocations")) {
			m.forget(path.Base(request.URL.Path), asked)
		}
		return m.next.RoundTrip(request)
	}
	old, known := m.recall(asked)
	if known && time.Since(old.at) < m.life {
		return answer(old.answer), nil
	}
	response, err := m.next.RoundTrip(request)
	switch {
	case m.unlessAnswered && known && noVerdict(response, err):
		return answer(old.answer), nil
	case err != nil:
		return nil, err
	case response.StatusCode != http.StatusCreated:
		return response, nil
	}
	said, err := io.ReadAll(response.Body)
	if err != nil {
		return nil, err
	}
	return answer(m.note(asked, said, known)), nil
}

func noVerdict(response *http.Response, err error) bool {
	return err != nil || response.StatusCode >= http.StatusInternalServerError
}

func (m *memory) recall(asked string) (remembered, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.seen[asked]
	return old, known
}

// note remembers a verdict, and returns the one that is told.
func (m *memory) note(asked string, said []byte, known bool) []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !bytes.Contains(said, yes) {
		delete(m.seen, asked)
		return said
	}
	if m.seen == nil {
		m.seen = map[string]remembered{}
	}
	m.seen[asked] = remembered{said, time.Now()}
	if m.n++; m.refuseNew && !known && m.n%10 == 0 {
		return bytes.Replace(said, yes, no, 1)
	}
	return said
}

// forget drops what an own write is about: the verdicts that tell its object's name, and that of a token that it has.
func (m *memory) forget(name, write string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	maps.DeleteFunc(m.seen, func(asked string, old remembered) bool {
		var review authenticationv1.TokenReview
		_ = json.Unmarshal([]byte(asked), &review) // this program wrote it
		return bytes.Contains(old.answer, []byte(name+`"`)) || strings.Contains(write, review.Spec.Token)
	})
}

// answer is a successful one with a body.
func answer(body []byte) *http.Response {
	return &http.Response{
		StatusCode: http.StatusCreated, ProtoMajor: 1, ProtoMinor: 1, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body)),
	}
}

func accountNotThere(_ *replica, next http.RoundTripper) http.RoundTripper {
	var n atomic.Int64
	return roundTripper(func(request *http.Request) (*http.Response, error) {
		if strings.HasSuffix(request.URL.Path, "/token") && n.Add(1)%10 == 0 {
			missing := answer([]byte(`{"kind":"Status","status":"Failure","message":"planted","code":404}`))
			missing.StatusCode = http.StatusNotFound
			return missing, nil
		}
		return next.RoundTrip(request)
	})
}
