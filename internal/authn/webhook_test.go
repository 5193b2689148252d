package authn

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/outbound"
)

const webhookToken = "a-secret-of-some-length"

// webhookAt returns an authenticator that asks a webhook, and its kubeconfig's credential.
func webhookAt(t *testing.T, url string, ttl time.Duration) authenticator.Token {
	t.Helper()
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"w": {Server: url, InsecureSkipTLSVerify: true}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{"w": {Token: "of-the-kubeconfig"}},
		Contexts:       map[string]*clientcmdapi.Context{"w": {Cluster: "w", AuthInfo: "w"}},
		CurrentContext: "w",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	remote, err := newWebhook(WebhookConfig{KubeconfigFile: file, Version: "v1", CacheTTL: ttl}, authenticator.Audiences{"api"})
	if err != nil {
		t.Fatal(err)
	}
	return chain{remote: remote}
}

func serveReviews(t *testing.T, handler http.HandlerFunc) string {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server.URL
}

func review(w http.ResponseWriter, status authenticationv1.TokenReviewStatus) {
	review := authenticationv1.TokenReview{Status: status}
	review.APIVersion, review.Kind = "authentication.k8s.io/v1", "TokenReview"
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(review) // the caller hung up
}

// The webhook gets the token to review in the body and the credential of its kubeconfig: nothing else of the request
// that brought the token.
func TestWebhookIsSentNoOtherCredential(t *testing.T) {
	var calls atomic.Int32
	url := serveReviews(t, func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		if got := r.Header.Values("Authorization"); len(got) != 1 || got[0] != "Bearer of-the-kubeconfig" {
			t.Errorf("authorization: %q", got)
		}
		for name, values := range r.Header {
			if strings.Contains(fmt.Sprint(values), webhookToken) {
				t.Errorf("the token is in %s", name)
			}
		}
		if len(r.Cookies()) > 0 || strings.Contains(r.URL.String(), webhookToken) {
			t.Errorf("cookies %v, URL %v", r.Cookies(), r.URL)
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || !strings.Contains(string(body), webhookToken) {
			t.Errorf("%v: %s", err, body)
		}
		review(w, authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "ann"}})
	})
	remote := webhookAt(t, url, time.Minute)
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{"api"})
	for range 3 {
		response, ok, err := remote.AuthenticateToken(ctx, webhookToken)
		if !ok || err != nil || response.User.GetName() != "ann" || len(response.Audiences) != 1 {
			t.Fatal(response, ok, err)
		}
	}
	if calls.Load() != 1 {
		t.Errorf("%d calls", calls.Load())
	}
}

// Redirects are not followed: neither the token nor the credential goes to whom the webhook names.
func TestWebhookRedirects(t *testing.T) {
	elsewhere := serveReviews(t, func(w http.ResponseWriter, _ *http.Request) {
		t.Error("the redirect was followed")
		review(w, authenticationv1.TokenReviewStatus{Authenticated: true, User: authenticationv1.UserInfo{Username: "mallory"}})
	})
	for _, code := range []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect} {
		url := serveReviews(t, func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere, code) })
		if response, ok, err := webhookAt(t, url, 0).AuthenticateToken(t.Context(), webhookToken); ok || err == nil {
			t.Errorf("%d: %v %v %v", code, response, ok, err)
		}
	}
}

func TestWebhookAnswersWithoutEnd(t *testing.T) {
	url := serveReviews(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for chunk := []byte(strings.Repeat(" ", 64<<10)); ; {
			if _, err := w.Write(chunk); err != nil {
				return
			}
		}
	})
	_, ok, err := webhookAt(t, url, 0).AuthenticateToken(t.Context(), webhookToken)
	if ok || err == nil || !strings.Contains(err.Error(), outbound.ErrTooLong.Error()) {
		t.Error(ok, err)
	}
}

// Whatever a webhook says about a token, the token itself is not in what is logged and shown.
func TestWebhookRepeatsToken(t *testing.T) {
	for name, handler := range map[string]http.HandlerFunc{
		"refusal": func(w http.ResponseWriter, _ *http.Request) {
			review(w, authenticationv1.TokenReviewStatus{Error: "unknown: " + webhookToken})
		},
		"status": func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadRequest)
			_, _ = fmt.Fprintf(w, `{"kind":"Status","apiVersion":"v1","status":"Failure","code":400,"reason":"BadRequest","message":"what is %s?"}`, webhookToken)
		},
		"text": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "what is "+webhookToken, http.StatusForbidden)
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, ok, err := webhookAt(t, serveReviews(t, handler), 0).AuthenticateToken(t.Context(), webhookToken)
			if ok || err == nil || strings.Contains(err.Error(), webhookToken) {
				t.Error(ok, err)
			}
		})
	}
}
