package apiserver_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// candidates is where the replicas are that can run the controllers, and members where each replica has an entry of its own.
const candidates, members = "/mintmark/mintmark.io/election/", "/mintmark/mintmark.io/identity"

// writes delivers the keys that are written from now on, but those that each replica has an entry in.
func writes(t *testing.T, client *clientv3.Client) <-chan string {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	keys := make(chan string, 1000)
	changes := client.Watch(ctx, "/mintmark/", clientv3.WithPrefix())
	go func() {
		for change := range changes {
			for _, event := range change.Events {
				if key := string(event.Kv.Key); !strings.HasPrefix(key, candidates) && key != members {
					keys <- key
				}
			}
		}
	}()
	return keys
}

// atRest returns when nothing was written for a while.
func atRest(t *testing.T, keys <-chan string) {
	t.Helper()
	const rest, patience = 3 * time.Second, time.Minute
	var last []string
	for begun := time.Now(); time.Since(begun) < patience; {
		select {
		case key := <-keys:
			last = append(last, key)
		case <-time.After(rest):
			return
		}
	}
	t.Fatalf("%d writes in %s, the last ones to %q", len(last), patience, last[max(0, len(last)-10):])
}

// defaultAccount waits for the default account of a new namespace.
func defaultAccount(t *testing.T, admin kubernetes.Interface, namespace string) (took time.Duration) {
	t.Helper()
	begun := time.Now()
	if _, err := admin.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the default account of "+namespace, func() bool {
		_, err := admin.CoreV1().ServiceAccounts(namespace).Get(t.Context(), "default", metav1.GetOptions{})
		return err == nil
	})
	return time.Since(begun)
}

// TestReplicasAtRestWriteNothing: two replicas with directories of their own, and all controllers, don't undo what the other
// one does. They come to rest, and so does a third one that starts later.
func TestReplicasAtRestWriteNothing(t *testing.T) {
	t.Parallel()
	endpoint, client := newEtcd(t)
	keys := writes(t, client)
	flags := []string{"--etcd-servers=" + endpoint, "--openshift-api", "--enable-bootstrap-token-auth", "--service-account-issuer=https://tokens.example"}
	// Both of them find an empty store.
	one, other := testserver.Launch(t, flags...), testserver.Launch(t, flags...)
	<-one.Ready
	<-other.Ready
	admin := one.Admin()
	defaultAccount(t, admin, "team")
	addBootstrapToken(t, one.Caller(one.AdminConfig()), "abcdef")
	if _, err := admin.RbacV1().ClusterRoles().Create(t.Context(), &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "mine", Labels: map[string]string{"rbac.authorization.k8s.io/aggregate-to-view": "true"}},
		Rules:      []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{"mine"}, Resources: []string{"things"}}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CoreV1().Secrets("team").Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "robot-token", Annotations: map[string]string{corev1.ServiceAccountNameKey: "default"}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	atRest(t, keys)
	role, err := admin.RbacV1().ClusterRoles().Get(t.Context(), "admin", metav1.GetOptions{})
	if err != nil || !slices.ContainsFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return slices.Contains(r.APIGroups, "mine") }) {
		t.Errorf("admin has not gathered the rule: %v", err)
	}
	secret, err := admin.CoreV1().Secrets("team").Get(t.Context(), "robot-token", metav1.GetOptions{})
	if err != nil || len(secret.Data[corev1.ServiceAccountTokenKey]) == 0 {
		t.Errorf("the secret has no token: %v", err)
	}

	testserver.Start(t, flags...)
	select {
	case key := <-keys:
		t.Errorf("a third replica writes %s, although all is there", key)
	case <-time.After(time.Second):
	}
}

// TestControllersAreHandedOver: one replica runs the controllers. When it stops, another one does at once.
func TestControllersAreHandedOver(t *testing.T) {
	t.Parallel()
	endpoint, client := newEtcd(t)
	flags := []string{"--etcd-servers=" + endpoint, "--service-account-issuer=https://tokens.example"}
	one := testserver.Start(t, flags...)
	defaultAccount(t, one.Admin(), "first")
	other := testserver.Start(t, flags...)
	idle := testserver.Start(t, append(flags, "--controllers=")...)
	var running []string
	eventually(t, "two replicas are candidates", func() bool {
		found, err := client.Get(t.Context(), candidates, clientv3.WithPrefix(), clientv3.WithSort(clientv3.SortByCreateRevision, clientv3.SortAscend))
		if err != nil {
			t.Fatal(err)
		}
		running = nil
		for _, kv := range found.Kvs {
			running = append(running, "https://"+string(kv.Value))
		}
		return len(running) >= 2
	})
	if want := []string{one.URL, other.URL}; !slices.Equal(running, want) {
		t.Errorf("the candidates are %q, want %q: not %s, which has no controllers", running, want, idle.URL)
	}
	defaultAccount(t, other.Admin(), "second")
	if err := one.Stop(); err != nil {
		t.Fatal(err)
	}
	t.Logf("after the leader has stopped: %s", defaultAccount(t, other.Admin(), "third"))
}

// version counts how often a key was written.
func version(t *testing.T, client *clientv3.Client, key string) int64 {
	t.Helper()
	found, err := client.Get(t.Context(), key)
	if err != nil || len(found.Kvs) != 1 {
		t.Fatalf("%s: %v", key, err)
	}
	return found.Kvs[0].Version
}

// TestUseIsNotedOnceByReplicas: two replicas note the use of the same tokens, and what one has noted the other leaves.
func TestUseIsNotedOnceByReplicas(t *testing.T) {
	t.Parallel()
	endpoint, client := newEtcd(t)
	flags := append(storedFlags(t), "--etcd-servers="+endpoint, "--controllers=serviceaccount-token-controller")
	one := newOpaque(t, flags...)
	other := joinOpaque(t, flags...)
	tokens := everyKind(t, one)
	access, name := one.token("inactivityTimeoutSeconds: 30") // so close to its end that a use is written at once
	secretKey, tokenKey := "/mintmark/secrets/default/legacy", "/mintmark/oauthaccesstokens/"+name
	secretBefore, tokenBefore := version(t, client, secretKey), version(t, client, tokenKey)
	use := func() {
		var using sync.WaitGroup
		for _, replica := range []opaque{one, other, one, other} {
			using.Go(func() {
				for range 20 {
					for endpoint, token := range map[string]string{coreReviews: tokens["in a secret"], oauthReviews: access} {
						if status := replica.status(endpoint, token); status["error"] != nil {
							t.Errorf("%s: a good token is refused: %v", endpoint, status["error"])
						}
					}
				}
			})
		}
		using.Wait()
	}
	use()
	eventually(t, "the uses are noted", func() bool {
		secret, err := one.Admin().CoreV1().Secrets("default").Get(t.Context(), "legacy", metav1.GetOptions{})
		return err == nil && secret.Labels["kubernetes.io/legacy-token-last-used"] != "" && one.idleAfter(name) >= 600
	})
	use()
	atRest(t, writes(t, client))
	// Each replica may have noted it before it heard of the other's note.
	if n := version(t, client, secretKey) - secretBefore; n > 2 {
		t.Errorf("the secret was written %d times", n)
	}
	if n := version(t, client, tokenKey) - tokenBefore; n > 4 {
		t.Errorf("the access token was written %d times", n)
	}
}
