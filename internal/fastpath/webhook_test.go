package fastpath_test

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

// webhook is asked about tokens that nobody else knows. It takes 600 ms for the token "slow", and for those that begin
// with "blocked" as long as the test wants.
type webhook struct {
	flag string
	// asked gets every blocked token; each send to release answers one.
	asked   chan string
	release chan struct{}
}

func newWebhook(t *testing.T) *webhook {
	t.Helper()
	w := &webhook{asked: make(chan string, 10), release: make(chan struct{})}
	server := httptest.NewServer(w)
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	err := clientcmd.WriteToFile(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{"w": {Server: server.URL}},
		Contexts:       map[string]*clientcmdapi.Context{"w": {Cluster: "w"}},
		CurrentContext: "w",
	}, file)
	if err != nil {
		t.Fatal(err)
	}
	w.flag = "--authentication-token-webhook-config-file=" + file
	return w
}

func (h *webhook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var asked authenticationv1.TokenReview
	if err := json.NewDecoder(r.Body).Decode(&asked); err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	switch token := asked.Spec.Token; {
	case token == "slow":
		<-time.After(600 * time.Millisecond)
	case strings.HasPrefix(token, "blocked"):
		h.asked <- token
		select {
		case <-h.release:
		case <-r.Context().Done():
		}
	}
	asked.Status = authenticationv1.TokenReviewStatus{Error: "unknown here"}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(asked) // the caller hung up
}
