package fastpath_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/warning"

	"github.com/mintmark/mintmark/internal/fastpath"
)

// asked is an authenticator that counts how often it is asked, and warns and annotates each time.
type asked struct {
	times    int
	response *authenticator.Response
	err      error
}

func (a *asked) AuthenticateRequest(r *http.Request) (*authenticator.Response, bool, error) {
	a.times++
	warning.AddWarning(r.Context(), "", "old token")
	audit.AddAuditAnnotation(r.Context(), "kind", "old")
	return a.response, a.response != nil, a.err
}

// recorder keeps warnings.
type recorder []string

func (r *recorder) AddWarning(_, text string) { *r = append(*r, text) }

// TestAuthenticatedOnce: a request that is handed over is authenticated once, and the generic chain learns all that came
// of it. A request inside it is somebody else's.
func TestAuthenticatedOnce(t *testing.T) {
	t.Parallel()
	ann := &authenticator.Response{User: &user.DefaultInfo{Name: "ann"}}
	for name, test := range map[string]struct {
		response *authenticator.Response
		err      error
	}{
		"a success":      {ann, nil},
		"a refusal":      {nil, errors.New("token has expired")},
		"no credentials": {nil, nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := &asked{response: test.response, err: test.err}
			once := fastpath.OncePerRequest(a)
			d := &doors{}
			cfg := d.config()
			cfg.Authenticator = a
			cfg.Audit, cfg.AuditPolicy = &sink{}, &sink{}
			reached := false
			cfg.Next = http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				reached = true
				var warnings recorder
				r = r.WithContext(audit.WithAuditContext(warning.WithWarningRecorder(r.Context(), &warnings)))
				response, ok, err := once.AuthenticateRequest(r)
				if response != test.response || ok != (test.response != nil) || !errors.Is(err, test.err) || a.times != 1 {
					t.Errorf("%v, %t, %v after being asked %d times", response, ok, err, a.times)
				}
				annotations := audit.AuditContextFrom(r.Context()).GetEventAnnotations()
				if diff := cmp.Diff(recorder{"old token"}, warnings) + cmp.Diff(map[string]string{"kind": "old"}, annotations); diff != "" {
					t.Error(diff)
				}
				if _, _, _ = once.AuthenticateRequest(r.Clone(r.Context())); a.times != 2 {
					t.Error("a request inside is taken for the same caller's")
				}
			})
			post(t, cfg, reviewsPath, []byte(reviewOf("x")), "application/json")
			if !reached {
				t.Error("not handed over")
			}
		})
	}
}

// TestOthersAreAuthenticated: a request that never was on the fast path is authenticated.
func TestOthersAreAuthenticated(t *testing.T) {
	t.Parallel()
	a := &asked{err: errors.New("refused")}
	_, _, err := fastpath.OncePerRequest(a).AuthenticateRequest(httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api", strings.NewReader("")))
	if !errors.Is(err, a.err) || a.times != 1 {
		t.Errorf("%v after being asked %d times", err, a.times)
	}
}
