package conformance

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"regexp"
	"strings"
	"time"

	utilrand "k8s.io/apimachinery/pkg/util/rand"
)

// Failure is a step whose answer was not the recorded one. It holds no token.
type Failure struct {
	Step     string   // its number and name
	Request  string   // what was sent, with variables as the scenario writes them
	Problems []string // where the answer differs: place, want, got
}

func (f Failure) String() string {
	lines := append([]string{f.Step, f.Request}, f.Problems...)
	return strings.Join(lines, "\n    ")
}

// session is one scenario in progress.
type session struct {
	*Target
	vars    map[string]string
	norm    *normaliser
	secrets *mask
	clients map[string]*http.Client // name of a client certificate, or nothing → client
	created []string                // paths of the objects to delete in the end
}

// Play plays a scenario and deletes what it created. It returns the steps that failed, none when all went as recorded.
func Play(ctx context.Context, t *Target, sc *Scenario) []Failure {
	s := newSession(t)
	defer s.close(ctx)
	if !sc.NoNamespace {
		if f := s.createNamespace(ctx); f != nil {
			return []Failure{*f}
		}
	}
	var failures []Failure
	for i := range sc.Steps {
		st := &sc.Steps[i]
		// After a failure, steps are no longer repeated.
		patient := len(failures) == 0
		if problems := s.step(ctx, st, patient); len(problems) > 0 {
			failures = append(failures, s.failure(st.label(i), st, problems))
		}
	}
	return failures
}

func newSession(t *Target) *session {
	s := &session{
		Target:  t,
		vars:    map[string]string{},
		norm:    newNormaliser(t.host()),
		secrets: newMask(t.AdminToken, t.AliceToken),
		clients: map[string]*http.Client{},
	}
	s.volatile("ns", "conf-"+utilrand.String(8))
	s.volatile("id6", utilrand.String(6))
	s.volatile("id16", utilrand.String(16))
	s.volatile("admin_token", t.AdminToken)
	s.volatile("alice_token", t.AliceToken)
	return s
}

func (s *session) createNamespace(ctx context.Context) *Failure {
	st := &Step{Method: "POST", Path: "/api/v1/namespaces", Body: json.RawMessage(`{"metadata":{"name":"{{ns}}"}}`)}
	a, err := s.do(ctx, st)
	if err == nil && a.status != http.StatusCreated {
		err = fmt.Errorf("answered %d: %s", a.status, shorten(s.secrets.text(string(a.raw))))
	}
	if err == nil {
		return nil
	}
	f := s.failure("create the namespace", st, []string{err.Error()})
	return &f
}

// failure reports on a step, without the tokens in it.
func (s *session) failure(label string, st *Step, problems []string) Failure {
	f := Failure{Step: label, Request: s.secrets.text(st.request())}
	for _, problem := range problems {
		f.Problems = append(f.Problems, s.secrets.text(problem))
	}
	return f
}

// step plays one step and says what is wrong with it. A patient one is repeated where the scenario says so.
func (s *session) step(ctx context.Context, st *Step, patient bool) []string {
	if err := sleep(ctx, st.Wait); err != nil {
		return []string{err.Error()}
	}
	if st.Forge != nil {
		token, err := s.forge(st.Forge)
		if err != nil {
			return []string{err.Error()}
		}
		s.secrets.add(token)
		s.volatile(st.Forge.Into, token)
		return nil
	}
	deadline := time.Now()
	if patient && st.Eventually != nil {
		deadline = deadline.Add(time.Duration(st.Eventually.Seconds * float64(time.Second)))
	}
	before := s.norm
	for {
		// Each attempt starts from the same placeholders: their numbers must not depend on how many there were.
		s.norm = before.clone()
		a, err := s.do(ctx, st)
		if err != nil {
			return []string{err.Error()}
		}
		problems := s.compare(st, a)
		if len(problems) == 0 || !time.Now().Before(deadline) {
			return append(problems, s.capture(st, a)...)
		}
		if err := sleep(ctx, 0.3); err != nil {
			return append(problems, err.Error())
		}
	}
}

// capture sets the variables that a step takes from its answer.
func (s *session) capture(st *Step, a *answer) (problems []string) {
	for name, pointer := range st.Capture {
		value, ok := lookUp(a.body, pointer)
		if !ok {
			problems = append(problems, fmt.Sprintf("capture %s: nothing at %s", name, pointer))
			continue
		}
		text := plainText(value)
		s.vars[name] = text
		switch {
		case jwtShape.MatchString(text):
			s.secrets.add(text)
			s.volatile(name, text)
		case uuidShape.MatchString(text):
			s.volatile(name, text)
		}
	}
	return problems
}

// sleep waits for some seconds or the end of the context.
func sleep(ctx context.Context, seconds float64) error {
	if seconds <= 0 {
		return ctx.Err()
	}
	timer := time.NewTimer(time.Duration(seconds * float64(time.Second)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// remember notes a created object, so that it can be deleted in the end. Only stored objects have a resourceVersion.
func (s *session) remember(method, path string, body any) {
	version, _ := lookUp(body, "/metadata/resourceVersion")
	name, _ := lookUp(body, "/metadata/name")
	if version == nil || name == nil {
		return
	}
	path, _, _ = strings.Cut(path, "?")
	if method == http.MethodPost {
		path += "/" + plainText(name)
	}
	s.created = append(s.created, path)
}

var namespacePath = regexp.MustCompile(`^/api/v1/namespaces/[^/]+$`)

// close deletes the objects that the scenario created, newest first, and closes the connections. It also finalizes the
// namespace, in place of the namespace controller. Failures here are ignored: they are not part of the scenario.
func (s *session) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	for i := len(s.created) - 1; i >= 0; i-- {
		path := s.created[i]
		_, _ = s.do(ctx, &Step{Method: "DELETE", Path: path + "?gracePeriodSeconds=0&propagationPolicy=Background"})
		if !namespacePath.MatchString(path) {
			continue
		}
		left, err := s.do(ctx, &Step{Method: "GET", Path: path})
		if err != nil || left.status != http.StatusOK {
			continue
		}
		if object, ok := left.body.(map[string]any); ok {
			object["spec"] = map[string]any{"finalizers": []any{}}
			_, _ = s.do(ctx, &Step{Method: "PUT", Path: path + "/finalize", Body: json.RawMessage(plainText(object))})
		}
	}
	for _, client := range s.clients {
		client.CloseIdleConnections()
	}
}
