package apiserver_test

import (
	"path/filepath"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestTwoReplicas runs two servers over one etcd that neither of them started. What one of them makes the other knows at
// once; what one of them deletes the other refuses as soon as its watch says so.
func TestTwoReplicas(t *testing.T) {
	t.Parallel()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	key := filepath.Join(t.TempDir(), "key.pem")
	testserver.WriteSigningKey(t, key)
	flags := []string{
		"--etcd-servers=" + member.Endpoint(), "--controllers=", "--service-account-issuer=https://tokens.example",
		"--service-account-signing-key-file=" + key,
	}
	one, other := testserver.Start(t, flags...).Admin(), testserver.Start(t, flags...).Admin()
	accounts := one.CoreV1().ServiceAccounts("default")
	for range 5 {
		if _, err := accounts.Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
		token := issue(t, one, "app", nil)
		if status := review(t, other, token); !status.Authenticated {
			t.Fatalf("the other replica refuses at once: %s", status.Error)
		}
		if err := accounts.Delete(t.Context(), "app", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		deleted := time.Now()
		for review(t, other, token).Authenticated {
			if time.Since(deleted) > 10*time.Second {
				t.Fatal("the other replica still accepts the token of a deleted account")
			}
		}
	}
}
