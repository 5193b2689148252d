package webhookconformance_test

import (
	"context"
	"net"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/webhookconformance"
)

func failures(t *testing.T, config *rest.Config, options webhookconformance.Options) (failed []string) {
	t.Helper()
	for result := range webhookconformance.Run(t.Context(), config, options) {
		if result.Err == nil {
			continue
		}
		failed = append(failed, result.Name)
		if text := result.Err.Error(); strings.Contains(text, goodToken) || result.Remedy == "" {
			t.Errorf("%s: a token is in the error, or there is no remedy", result.Name)
		}
	}
	return failed
}

// TestRightWebhook: a webhook without a mistake passes all checks, and skips none.
func TestRightWebhook(t *testing.T) {
	t.Parallel()
	for result := range webhookconformance.Run(t.Context(), serve(t, &standIn{}), webhookconformance.Options{Token: goodToken, Audience: goodAudience}) {
		if result.Err != nil || result.Skipped != "" {
			t.Errorf("%s: %v %s", result.Name, result.Err, result.Skipped)
		}
	}
	account := serve(t, serviceAccount(func(object) {}))
	if failed := failures(t, account, webhookconformance.Options{Token: goodToken, Audience: goodAudience, Versions: []string{"v1"}}); failed != nil {
		t.Errorf("a service account: %q", failed)
	}
}

// TestWithoutToken: without a good token the checks that need one are skipped, and none fails.
func TestWithoutToken(t *testing.T) {
	t.Parallel()
	skipped := 0
	for result := range webhookconformance.Run(t.Context(), serve(t, &standIn{}), webhookconformance.Options{Versions: []string{"v1"}}) {
		if result.Err != nil {
			t.Errorf("%s: %v", result.Name, result.Err)
		}
		if result.Skipped != "" {
			skipped++
		}
	}
	if skipped != 13 {
		t.Errorf("%d checks are skipped", skipped)
	}
}

// mistakes are the known mistakes of webhooks, by the check that finds each.
var mistakes = map[string]struct {
	check   string
	standIn *standIn
}{
	"401 for no":  {"refused/status-code", codes(401, 200)},
	"403 for no":  {"refused/status-code", codes(403, 200)},
	"404 for no":  {"refused/status-code", codes(404, 200)},
	"500 for no":  {"refused/status-code", codes(500, 200)},
	"429 for no":  {"refused/status-code", codes(429, 200)},
	"503 for no":  {"refused/status-code", codes(503, 200)},
	"401 for all": {"accepted/status-code", codes(401, 401)},
	"302 for all": {"connection/no-redirect", codes(302, 302)},
	"204 for no":  {"answer/json", codes(204, 200)},
	"307 elsewhere": {"connection/no-redirect", &standIn{answer: func(w http.ResponseWriter, _ *asked, _ object) {
		w.Header().Set("Location", "/other")
		w.WriteHeader(http.StatusTemporaryRedirect)
	}}},
	"refuses a good token":         {"accepted/good-token", &standIn{verdict: func(a *asked, _ object) object { return object{"audiences": a.Spec.Audiences, "error": "too old"} }}},
	"audiences left empty":         {"audiences/not-empty", audiences(true, func(*asked) []string { return nil })},
	"audiences echoed":             {"audiences/not-echoed", audiences(true, func(a *asked) []string { return a.Spec.Audiences })},
	"audiences of its own":         {"audiences/not-empty", audiences(true, func(*asked) []string { return []string{"my-audience"} })},
	"refusal without audiences":    {"refused/audiences", audiences(false, func(*asked) []string { return nil })},
	"refusal with other audiences": {"refused/audiences", audiences(false, func(*asked) []string { return []string{"my-audience"} })},
	"audiences never looked at": {"audiences/foreign", &standIn{verdict: func(a *asked, status object) object {
		a.Spec.Audiences = []string{goodAudience}
		s := right(a)
		delete(s, "audiences")
		return s
	}}},
	"accepted for any audience": {"audiences/foreign", &standIn{verdict: func(a *asked, _ object) object {
		all := a.Spec.Audiences
		a.Spec.Audiences = []string{goodAudience}
		s := right(a)
		s["audiences"] = all
		return s
	}}},
	"cached across audiences":      {"audiences/not-remembered", remembers(refusedFirst())},
	"cached by the token's start":  {"refused/altered-token", takes(prefix)},
	"compared without case":        {"refused/altered-token", takes(folded)},
	"status missing":               {"answer/status", written(func(_ *asked, answer object) { delete(answer, "status") })},
	"status null":                  {"answer/status", written(func(_ *asked, answer object) { answer["status"] = nil })},
	"status a word":                {"answer/json", written(func(_ *asked, answer object) { answer["status"] = "Failure" })},
	"authenticated a word":         {"answer/status", written(func(_ *asked, answer object) { answer["status"].(object)["authenticated"] = "false" })},
	"no kind":                      {"answer/kind", written(func(_ *asked, answer object) { delete(answer, "kind") })},
	"other kind":                   {"answer/kind", written(func(_ *asked, answer object) { answer["kind"] = "SubjectAccessReview" })},
	"no version":                   {"answer/api-version", written(func(_ *asked, answer object) { delete(answer, "apiVersion") })},
	"v1beta1 answered to v1":       {"answer/api-version", written(func(_ *asked, answer object) { answer["apiVersion"] = "authentication.k8s.io/v1beta1" })},
	"token echoed":                 {"answer/no-token", written(func(a *asked, answer object) { answer["spec"] = a.Spec })},
	"token in the error":           {"answer/no-token", written(func(a *asked, answer object) { answer["status"].(object)["error"] = "no such token: " + a.Spec.Token })},
	"empty user name":              {"accepted/username", user(func(u object) { u["username"] = "" })},
	"no user":                      {"accepted/username", &standIn{verdict: func(_ *asked, status object) object { delete(status, "user"); return status }}},
	"anonymous for the good token": {"accepted/username", user(func(u object) { u["username"] = "system:anonymous" })},
	"anonymous for unknown":        {"refused/unknown-token", &standIn{verdict: anonymous}},
	"error in an acceptance":       {"accepted/no-error", &standIn{verdict: func(_ *asked, status object) object { status["error"] = "about to expire"; return status }}},
	"user in a refusal":            {"refused/no-user", &standIn{verdict: func(_ *asked, status object) object { status["user"] = object{"username": "ann"}; return status }}},
	"groups null":                  {"accepted/groups", user(func(u object) { u["groups"] = nil })},
	"groups a string":              {"accepted/groups", user(func(u object) { u["groups"] = "staff" })},
	"a group null":                 {"accepted/groups", user(func(u object) { u["groups"] = []any{"staff", nil} })},
	"extra in upper case":          {"accepted/extra", user(func(u object) { u["extra"] = object{"example.com/Room": []string{"2"}} })},
	"extra without lists":          {"accepted/extra", user(func(u object) { u["extra"] = object{"example.com/room": "2"} })},
	"extra null":                   {"accepted/extra", user(func(u object) { u["extra"] = nil })},
	"account of five parts":        {"accepted/service-account", serviceAccount(func(u object) { u["username"] = "system:serviceaccount:shop:cart:1" })},
	"account without its groups":   {"accepted/service-account", serviceAccount(func(u object) { u["groups"] = []string{"system:authenticated"} })},
	"account of two pods":          {"accepted/service-account", serviceAccount(func(u object) { u["extra"].(object)[podName] = []string{"a", "b"} })},
	"credential id without JTI=":   {"accepted/service-account", serviceAccount(func(u object) { u["extra"].(object)[credentialID] = []string{"id"} })},
	"text/plain":                   {"answer/content-type", page("text/plain; charset=utf-8", encoded)},
	"no content type":              {"answer/content-type", page("", encoded)},
	"HTML with 200":                {"answer/json", page("text/html", func(object) string { return "<html>Please log in</html>" })},
	"HTML that says it is JSON":    {"answer/json", page("application/json", func(object) string { return "<html>Please log in</html>" })},
	"trailing data":                {"answer/json", page("application/json", func(answer object) string { return encoded(answer) + encoded(answer) })},
	"half an object":               {"answer/json", page("application/json", func(answer object) string { return encoded(answer)[:20] })},
	"white space trimmed":          {"refused/white-space", takes(strings.TrimSpace)},
	"empty token accepted":         {"refused/empty-token", takes(func(token string) string { return map[bool]string{true: goodToken, false: token}[token == ""] })},
	"connection closed": {"connection/stays-open", &standIn{answer: func(w http.ResponseWriter, _ *asked, answer object) {
		w.Header().Set("Connection", "close")
		write(w, 200, answer)
	}}},
	"further members refused": {"request/further-members", &standIn{answer: strict}},
	"slow":                    {"connection/in-time", &standIn{answer: slow}},
	"the whole request sent back": {"answer/no-token", &standIn{answer: func(w http.ResponseWriter, a *asked, _ object) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(a.raw)
	}}},
	"hangs up":                      {"connection/answers", &standIn{answer: func(http.ResponseWriter, *asked, object) { panic(http.ErrAbortHandler) }}},
	"an error that is not a string": {"kube-apiserver/refuses", &standIn{verdict: func(_ *asked, status object) object { status["error"] = object{"code": 1}; return status }}},
}

const podName, credentialID = "authentication.kubernetes.io/pod-name", "authentication.kubernetes.io/credential-id"

// serviceAccount changes a user who is a service account.
func serviceAccount(change func(object)) *standIn {
	return user(func(u object) {
		u["username"], u["groups"] = "system:serviceaccount:shop:cart", []string{"system:serviceaccounts", "system:serviceaccounts:shop"}
		u["extra"] = object{podName: []string{"cart-0"}, credentialID: []string{"JTI=id"}}
		change(u)
	})
}

func anonymous(_ *asked, status object) object {
	if !accepts(status) {
		return object{"authenticated": true, "audiences": status["audiences"], "user": object{"username": "system:anonymous"}}
	}
	return status
}

func strict(w http.ResponseWriter, a *asked, answer object) {
	if strings.Contains(string(a.raw), "memberOfALaterVersion") {
		http.Error(w, "unknown field", http.StatusBadRequest)
		return
	}
	write(w, http.StatusOK, answer)
}

// slowFor is longer than the limit that TestMistakes sets, and not much.
const limit, slowFor = 100 * time.Millisecond, 130 * time.Millisecond

func slow(w http.ResponseWriter, _ *asked, answer object) {
	ctx, cancel := context.WithTimeout(context.Background(), slowFor)
	defer cancel()
	<-ctx.Done()
	write(w, http.StatusOK, answer)
}

// refusedFirst caches the answers about the good token's second question for another audience, and gives them to the questions that follow.
func refusedFirst() func(*asked) string {
	seen := 0
	return func(a *asked) string {
		if a.good() && !slices.Contains(a.Spec.Audiences, goodAudience) {
			seen++
		}
		if seen > 1 && a.good() {
			return "good"
		}
		return a.Spec.Token + strings.Join(a.Spec.Audiences, ",")
	}
}

// TestMistakes: each known mistake is found by the check with its name.
func TestMistakes(t *testing.T) {
	t.Parallel()
	for name, mistake := range mistakes {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			options := webhookconformance.Options{Token: goodToken, Audience: goodAudience, Versions: []string{"v1"}}
			if name == "slow" {
				options.Timeout = limit
			}
			if failed := failures(t, serve(t, mistake.standIn), options); !slices.Contains(failed, "v1/"+mistake.check) {
				t.Errorf("%s finds nothing, but %q", mistake.check, failed)
			}
		})
	}
}

// TestV1Only: a webhook that knows v1 alone fails the checks of v1beta1, which a kube-apiserver sends by default.
func TestV1Only(t *testing.T) {
	t.Parallel()
	webhook := written(func(_ *asked, answer object) { answer["apiVersion"] = "authentication.k8s.io/v1" })
	failed := failures(t, serve(t, webhook), webhookconformance.Options{Token: goodToken, Audience: goodAudience})
	want := []string{"v1beta1/answer/api-version", "v1beta1/kube-apiserver/refuses", "v1beta1/kube-apiserver/accepts"}
	if !slices.Equal(failed, want) {
		t.Errorf("%q, want %q", failed, want)
	}
}

// TestNothingThere: a webhook that is not there, or whose certificate is of another authority, fails one check, and the others are
// skipped.
func TestNothingThere(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := &rest.Config{Host: "https://" + listener.Addr().String()}
	_ = listener.Close()
	stranger := serve(t, &standIn{})
	stranger.TLSClientConfig = rest.TLSClientConfig{}
	unreadable := &rest.Config{Host: "https://127.0.0.1:1", TLSClientConfig: rest.TLSClientConfig{CAFile: "/no/such/file"}}
	for name, config := range map[string]*rest.Config{"gone": gone, "stranger": stranger, "unreadable": unreadable} {
		failed := failures(t, config, webhookconformance.Options{Token: goodToken, Versions: []string{"v1"}})
		if !slices.Equal(failed, []string{"v1/connection/answers"}) {
			t.Errorf("%s: %q", name, failed)
		}
	}
}

// TestPlainHTTP: tokens that would travel in the clear are told, but on one machine.
func TestPlainHTTP(t *testing.T) {
	t.Parallel()
	for host, want := range map[string]bool{"http://tokens.invalid/": true, "http://127.0.0.1:1/": false, "http://localhost:1/": false, "https://tokens.invalid/": false} {
		for result := range webhookconformance.Run(t.Context(), &rest.Config{Host: host}, webhookconformance.Options{Versions: []string{"v1"}, Timeout: time.Millisecond}) {
			if result.Name == "v1/connection/encrypted" && (result.Err != nil) != want {
				t.Errorf("%s: %v", host, result.Err)
			}
		}
	}
}
