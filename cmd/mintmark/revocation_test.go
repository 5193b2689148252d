package main

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// process runs the program with a data directory of its own over an etcd, and returns its administrator's clients.
func process(t *testing.T, flags ...string) (*kubernetes.Clientset, *keysClient) {
	t.Helper()
	data := filepath.Join(t.TempDir(), "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		t.Fatal(err)
	}
	// What seals the private keys in the store is the same for all processes over it.
	sealing := base64.StdEncoding.EncodeToString(make([]byte, 32))
	if err := os.WriteFile(filepath.Join(data, "key-encryption.key"), []byte(sealing+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	program := exec.CommandContext(context.Background(), "mintmark", append([]string{"serve", "--data-dir=" + data, "--secure-port=0"}, flags...)...)
	program.Stderr = os.Stderr
	if err := program.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = program.Process.Signal(os.Interrupt) // it may have ended by itself
		_ = program.Wait()
	})
	kubeconfig := filepath.Join(data, "admin.kubeconfig")
	if !awaitReady(t.Context(), kubeconfig) {
		t.Fatal("no server")
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.QPS = -1
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	own, err := newKeysClient(&connection{config: config})
	if err != nil {
		t.Fatal(err)
	}
	return client, own
}

// TestRevocationsReachReplicas revokes on one of two processes over one etcd. That process refuses the token when it has answered,
// and the other one a moment later.
func TestRevocationsReachReplicas(t *testing.T) {
	revocations := 1000
	if testing.Short() {
		revocations = 20
	}
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	flags := []string{"--etcd-servers=" + member.Endpoint(), "--service-account-issuer=https://tokens.example", "--service-account-signing-key-file=" + key}
	one, revoker := process(t, flags...)
	other, _ := process(t, flags...)
	accepts := func(client *kubernetes.Clientset, token string) bool {
		review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}
		answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(), review, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return answer.Status.Authenticated
	}
	took := make([]time.Duration, 0, revocations)
	for range revocations {
		issued, err := one.CoreV1().ServiceAccounts("default").CreateToken(t.Context(), "default", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		token := issued.Status.Token
		if !accepts(other, token) {
			t.Fatal("refused before it was revoked")
		}
		entry := &v1alpha1.TokenRevocation{Spec: v1alpha1.TokenRevocationSpec{Token: token}}
		if err := revoker.Post().Resource(tokenRevocations).Body(entry).Do(t.Context()).Error(); err != nil {
			t.Fatal(err)
		}
		acknowledged := time.Now()
		for accepts(other, token) {
			if time.Since(acknowledged) > 10*time.Second {
				t.Fatal("the other process still accepts the token")
			}
		}
		took = append(took, time.Since(acknowledged))
		if accepts(one, token) {
			t.Fatal("the process that acknowledged the revocation accepts the token")
		}
	}
	slices.Sort(took)
	at := func(part float64) time.Duration {
		return took[int(part*float64(len(took)-1))].Round(10 * time.Microsecond)
	}
	t.Logf("%d revocations, refused by the other process after: p50 %s, p99 %s, most %s (one review takes a part of it)", revocations, at(0.5), at(0.99), at(1))
}
