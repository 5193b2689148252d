package fastpath_test

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/fastpath"
	"github.com/mintmark/mintmark/internal/tokenrequest"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// secret is what nobody may tell.
const secret = "s3cret-t0ken"

// handedOver checks that a request got to the generic chain as it came, and that nothing was written before.
func (d *doors) handedOver(t *testing.T, answer *httptest.ResponseRecorder, sent string) {
	t.Helper()
	if got := string(d.passed); d.passed == nil || got != sent || d.authorization != "Bearer mine" {
		t.Errorf("the generic chain gets %d bytes (none at all: %v), want %d as they came", len(got), d.passed == nil, len(sent))
	}
	if answer.Body.Len() > 0 || len(answer.Header()) > 0 || answer.Code != http.StatusOK { // as a recorder is at first
		t.Errorf("before that, status %d, %d headers and %d bytes were written", answer.Code, len(answer.Header()), answer.Body.Len())
	}
}

// surprise is what doors panic with.
type surprise string

// crashing are doors of which one panics, with what it should keep to itself.
type crashing struct {
	*doors
	at string
	// began and counted are how many requests hold a place, and how many a stopping server waits for.
	began, counted int
}

func (c *crashing) reach(door string) {
	if door == c.at {
		panic(surprise(secret))
	}
}

func (c *crashing) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	r.Header.Del("Authorization") // as the library's do
	c.reach("authenticator")
	return c.doors.AuthenticateRequest(r)
}

func (c *crashing) Authorize(ctx context.Context, a authorizer.Attributes) (authorizer.Decision, string, error) {
	c.reach("authorizer")
	return c.doors.Authorize(ctx, a)
}

func (c *crashing) Decide(ctx context.Context, spec *authenticationv1.TokenReviewSpec) (tokenreview.Verdict, error) {
	c.reach("reviewer")
	return c.doors.Decide(ctx, spec)
}

func (c *crashing) Issue(ctx context.Context, namespace, name string, request *authenticationv1.TokenRequest, validate tokenrequest.Validate) error {
	request.Status.Token = secret
	c.reach("issuer")
	return c.doors.Issue(ctx, namespace, name, request, validate)
}

func (c *crashing) Begin() bool {
	c.began++
	return true
}

func (c *crashing) End() { c.began-- }

func (c *crashing) Add(delta int) error {
	c.counted += delta
	return nil
}

func (c *crashing) Done() { c.counted-- }

func (c *crashing) config() fastpath.Config {
	cfg := c.doors.config()
	cfg.Authenticator, cfg.Authorizer, cfg.Issuer, cfg.Limit, cfg.InFlight = c, c, c, c, c
	cfg.Reviewers = map[schema.GroupVersion]fastpath.Reviewer{authenticationv1.SchemeGroupVersion: c}
	return cfg
}

// logged returns what the process logs while a function runs.
func logged(t *testing.T, do func()) string {
	t.Helper()
	state := klog.CaptureState()
	defer state.Restore()
	flags := flag.NewFlagSet("", flag.ContinueOnError)
	klog.InitFlags(flags)
	if err := flags.Parse([]string{"-logtostderr=false", "-stderrthreshold=FATAL", "-legacy_stderr_threshold_behavior=false"}); err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	klog.SetOutput(&log)
	do()
	state.Restore() // nobody writes to it after that
	return log.String()
}

// TestPanic has one door after the other panic: the request is the generic chain's, and the log says where it was, but not
// with what.
func TestPanic(t *testing.T) { // not beside others: the log is the process's
	for _, test := range []struct{ at, path, sent string }{
		{"authenticator", reviewsPath, reviewOf(secret)},
		{"authorizer", reviewsPath, reviewOf(secret)},
		{"reviewer", reviewsPath, reviewOf(secret)},
		{"issuer", requestPath, tokenBody},
	} {
		for _, traced := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s traced=%v", test.at, traced), func(t *testing.T) {
				c := &crashing{doors: &doors{}, at: test.at}
				cfg := c.config()
				if traced {
					cfg.Trace = func(handler http.Handler) http.Handler { return handler }
				}
				var answer *httptest.ResponseRecorder
				log := logged(t, func() { answer = post(t, cfg, test.path, []byte(test.sent), "application/json") })
				c.handedOver(t, answer, test.sent)
				if c.began != 0 || c.counted != 0 {
					t.Errorf("%d places are still taken, %d requests still counted", c.began, c.counted)
				}
				if strings.Contains(log, secret) {
					t.Error("the log has what it panicked with")
				}
				if !strings.Contains(log, "The fast path panicked") || !strings.Contains(log, "(*crashing).reach") || !strings.Contains(log, "fastpath_test.surprise") {
					t.Errorf("%d bytes of log, without who panicked with what kind of value", len(log))
				}
			})
		}
	}
}

// sink takes audit records. It refuses those of one stage, and panics at those of another.
type sink struct {
	refuses, panics auditapi.Stage
	events          []*auditapi.Event
}

func (s *sink) ProcessEvents(events ...*auditapi.Event) bool {
	s.events = append(s.events, events...)
	for _, event := range events {
		if event.Stage == s.panics {
			panic(surprise(secret))
		}
		if event.Stage == s.refuses {
			return false
		}
	}
	return true
}

// EvaluatePolicyRule has everything recorded.
func (*sink) EvaluatePolicyRule(authorizer.Attributes) audit.RequestAuditConfig {
	return audit.RequestAuditConfig{Level: auditapi.LevelMetadata}
}

func (s *sink) stages() []auditapi.Stage {
	var stages []auditapi.Stage
	for _, event := range s.events {
		stages = append(stages, event.Stage)
	}
	return stages
}

// TestPanicAfterTheAnswer: what has been answered is not answered again.
func TestPanicAfterTheAnswer(t *testing.T) { // not beside others: the log is the process's
	d, s := &doors{verdict: tokenreview.Verdict{Error: "unknown"}}, &sink{panics: auditapi.StageResponseComplete}
	cfg := d.config()
	cfg.Audit, cfg.AuditPolicy = s, s
	want := d.post(t, reviewsPath, []byte(reviewOf(secret)), "application/json").Body.String()
	var answer *httptest.ResponseRecorder
	log := logged(t, func() { answer = post(t, cfg, reviewsPath, []byte(reviewOf(secret)), "application/json") })
	if d.passed != nil {
		t.Error("the generic chain is asked, too")
	}
	if answer.Code != http.StatusCreated || want == "" || answer.Body.String() != want {
		t.Errorf("status %d, and not the answer there was to be", answer.Code)
	}
	if !strings.Contains(log, "The fast path panicked") || strings.Contains(log, secret) {
		t.Errorf("%d bytes of log, without what happened or with what it happened with", len(log))
	}
}

// TestAuditRefuses: what can't be recorded is not answered here, and no record of it is sent but the one that was refused.
func TestAuditRefuses(t *testing.T) {
	t.Parallel()
	for path, sent := range map[string]string{reviewsPath: reviewOf(secret), requestPath: tokenBody} {
		d := &doors{issued: func(r *authenticationv1.TokenRequest) { r.Status.Token = secret }}
		s := &sink{refuses: auditapi.StageRequestReceived}
		cfg := d.config()
		cfg.Audit, cfg.AuditPolicy = s, s
		d.handedOver(t, post(t, cfg, path, []byte(sent), "application/json"), sent)
		if diff := cmp.Diff([]auditapi.Stage{auditapi.StageRequestReceived}, s.stages()); diff != "" {
			t.Errorf("%s: %s", path, diff)
		}
	}
}

// full takes no more requests: the server has begun to wait for those that it has.
type full struct{}

func (full) Add(int) error { return errors.New("no more") }
func (full) Done()         { panic("not begun") }

// TestStopping: a server that stops has the generic chain answer what comes from then on.
func TestStopping(t *testing.T) {
	t.Parallel()
	running, stopped := make(chan struct{}), make(chan struct{})
	close(stopped)
	for name, change := range map[string]func(*fastpath.Config){
		"has begun to stop": func(c *fastpath.Config) { c.Stopping = stopped },
		"takes no more":     func(c *fastpath.Config) { c.InFlight = full{} },
	} {
		d := &doors{}
		cfg := d.config()
		cfg.Stopping = running
		if got := post(t, cfg, reviewsPath, []byte(reviewOf("x")), "application/json"); got.Code != http.StatusCreated || d.passed != nil {
			t.Errorf("status %d before the server stops", got.Code)
		}
		change(&cfg)
		d.spec = nil
		d.handedOver(t, post(t, cfg, reviewsPath, []byte(reviewOf("x")), "application/json"), reviewOf("x"))
		if d.spec != nil {
			t.Errorf("%s: reviewed all the same", name)
		}
	}
}

// TestVerbose: who has every request logged gets it from the generic chain.
func TestVerbose(t *testing.T) { // not beside others: the verbosity is the process's
	defer klog.CaptureState().Restore()
	var level klog.Level
	for v, handedOver := range map[string]bool{"2": false, "3": true, "4": true} {
		if err := level.Set(v); err != nil {
			t.Fatal(err)
		}
		d := &doors{}
		answer := post(t, d.config(), reviewsPath, []byte(reviewOf("x")), "application/json")
		if handedOver {
			d.handedOver(t, answer, reviewOf("x"))
		} else if answer.Code != http.StatusCreated || d.passed != nil {
			t.Errorf("-v=%s: status %d", v, answer.Code)
		}
	}
}
