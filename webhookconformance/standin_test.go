package webhookconformance_test

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
)

const (
	goodToken    = "good-token-of-the-stand-in-0123456789"
	goodAudience = "https://cluster.example"
)

// asked is a review that a stand-in is asked for.
type asked struct {
	Kind       string `json:"kind"`
	APIVersion string `json:"apiVersion"`
	Spec       struct {
		Token     string   `json:"token"`
		Audiences []string `json:"audiences"`
	} `json:"spec"`
	raw []byte
}

func (a *asked) good() bool { return a.Spec.Token == goodToken }

type object = map[string]any

// standIn is a webhook that makes at most one mistake.
type standIn struct {
	// verdict makes the status in another way.
	verdict func(a *asked, right object) object
	// answer writes the answer in another way.
	answer func(w http.ResponseWriter, a *asked, right object)
}

// accepts reports whether a status says yes.
func accepts(status object) bool {
	yes, _ := status["authenticated"].(bool)
	return yes
}

// right is the status that is right.
func right(a *asked) object {
	if a.good() && slices.Contains(a.Spec.Audiences, goodAudience) {
		return object{
			"authenticated": true, "audiences": []string{goodAudience},
			"user": object{"username": "ann", "uid": "7", "groups": []string{"staff"}, "extra": object{"example.com/room": []string{"2"}}},
		}
	}
	return object{"authenticated": false, "audiences": a.Spec.Audiences, "error": "unknown token"}
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	a := &asked{raw: body}
	if err != nil || json.Unmarshal(body, a) != nil {
		http.Error(w, "no review", http.StatusBadRequest)
		return
	}
	status := right(a)
	if s.verdict != nil {
		status = s.verdict(a, status)
	}
	answer := object{"kind": a.Kind, "apiVersion": a.APIVersion, "status": status}
	if s.answer != nil {
		s.answer(w, a, answer)
		return
	}
	write(w, http.StatusOK, answer)
}

func write(w http.ResponseWriter, code int, answer any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(answer) // the caller hung up
}

// serve runs a webhook, and returns the connection to it.
func serve(t *testing.T, handler http.Handler) *rest.Config {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	authority := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return &rest.Config{Host: server.URL + "/authenticate", TLSClientConfig: rest.TLSClientConfig{CAData: authority}}
}

// codes answers with a status code instead of a verdict.
func codes(refused, accepted int) *standIn {
	return &standIn{answer: func(w http.ResponseWriter, _ *asked, right object) {
		code := refused
		if accepts(right["status"].(object)) {
			code = accepted
		}
		if code == http.StatusOK {
			write(w, code, right)
			return
		}
		http.Error(w, http.StatusText(code), code)
	}}
}

// user changes the user of an acceptance.
func user(change func(object)) *standIn {
	return &standIn{verdict: func(_ *asked, status object) object {
		if u, ok := status["user"].(object); ok {
			change(u)
		}
		return status
	}}
}

// audiences answers with other audiences; nil leaves them out.
func audiences(accepted bool, other func(*asked) []string) *standIn {
	return &standIn{verdict: func(a *asked, status object) object {
		if accepts(status) == accepted {
			status["audiences"] = other(a)
		}
		return status
	}}
}

// written changes the object that is written.
func written(change func(a *asked, answer object)) *standIn {
	return &standIn{answer: func(w http.ResponseWriter, a *asked, answer object) {
		change(a, answer)
		write(w, http.StatusOK, answer)
	}}
}

// page answers with a text in place of an object.
func page(contentType string, text func(object) string) *standIn {
	return &standIn{answer: func(w http.ResponseWriter, _ *asked, answer object) {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, text(answer)) // the caller hung up
	}}
}

func encoded(answer object) string {
	text, _ := json.Marshal(answer) // it always can
	return string(text)
}

// remembers caches verdicts under what key returns.
func remembers(key func(*asked) string) *standIn {
	var mu sync.Mutex
	known := map[string]object{}
	return &standIn{verdict: func(a *asked, status object) object {
		mu.Lock()
		defer mu.Unlock()
		if _, ok := known[key(a)]; !ok {
			known[key(a)] = status
		}
		return known[key(a)]
	}}
}

// takes reads another token than the one that was sent.
func takes(other func(string) string) *standIn {
	return &standIn{verdict: func(a *asked, _ object) object {
		one := *a
		one.Spec.Token = other(a.Spec.Token)
		return right(&one)
	}}
}

func folded(token string) string {
	if strings.EqualFold(token, goodToken) {
		return goodToken
	}
	return token
}

func prefix(token string) string {
	if strings.HasPrefix(token, goodToken[:20]) {
		return goodToken
	}
	return token
}
