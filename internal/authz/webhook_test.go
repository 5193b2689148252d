package authz_test

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/testserver"
)

const allowed = `{"apiVersion":"authorization.k8s.io/v1","kind":"SubjectAccessReview","status":{"allowed":true,"reason":"because"}}`

// TestWebhookIsKeptAtALength: an authorization webhook is called as every other server is. A yes from where it redirects to
// doesn't count, its answers are not read without end or waited for without end, and its reasons are shortened.
func TestWebhookIsKeptAtALength(t *testing.T) {
	t.Parallel()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(allowed))
	}))
	t.Cleanup(elsewhere.Close)
	slow := make(chan struct{})
	// The user name says what the webhook does.
	webhook := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "application/json")
		switch text := string(body); {
		case strings.Contains(text, `"user":"redirected"`):
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		case strings.Contains(text, `"user":"endless"`):
			for chunk := []byte(strings.Repeat(" ", 64<<10)); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		case strings.Contains(text, `"user":"slow"`):
			select {
			case <-slow:
			case <-r.Context().Done():
			}
		case strings.Contains(text, `"user":"wordy"`):
			_, _ = w.Write([]byte(strings.Replace(allowed, "because", strings.Repeat("because ", 1000), 1)))
		default:
			_, _ = w.Write([]byte(allowed))
		}
	}))
	t.Cleanup(webhook.Close)
	t.Cleanup(func() { close(slow) })
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	config := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}],
clusters: [{name: c, cluster: {server: "` + webhook.URL + `"}}]}`
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--controllers=", "--authorization-mode=RBAC,Webhook",
		"--authorization-webhook-config-file="+file, "--authorization-webhook-version=v1")
	for user, want := range map[string]bool{"anybody": true, "redirected": false, "endless": false, "wordy": true, "slow": false} {
		ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
		defer cancel()
		review, err := server.Admin().AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Errorf("%s: %v", user, err)
			continue
		}
		if review.Status.Allowed != want || len(review.Status.Reason) > 1100 || len(review.Status.EvaluationError) > 1100 {
			t.Errorf("%s: allowed %v, reason of %d bytes, error %.200s", user, review.Status.Allowed, len(review.Status.Reason), review.Status.EvaluationError)
		}
	}
}
