package controller_test

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/controller"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestServer lets all controllers loose on one server.
func TestServer(t *testing.T) {
	server := testserver.Start(t)
	admin := server.Admin()
	t.Run("every namespace has a default account", func(t *testing.T) {
		addNamespace(t, admin, "new")
		for _, namespace := range []string{"default", "kube-system", "new"} {
			eventually(t, "the default account of "+namespace, func(ctx context.Context) error {
				_, err := admin.CoreV1().ServiceAccounts(namespace).Get(ctx, "default", metav1.GetOptions{})
				return err
			})
		}
	})
	t.Run("the root CA is published", func(t *testing.T) { testRootCA(t, admin, server.RootCAs) })
	t.Run("a token secret holds a token", func(t *testing.T) { testTokenSecret(t, admin, server.RootCAs) })
	t.Run("a namespace goes with all it holds", func(t *testing.T) { testNamespace(t, admin) })
	t.Run("a pod goes when its grace is over", func(t *testing.T) { testPod(t, admin) })
	t.Run("an expired bootstrap token goes", func(t *testing.T) { testBootstrapToken(t, admin) })
	t.Run("all that lives in namespaces is deleted with them", func(t *testing.T) { testContents(t, admin) })
}

func TestNoControllers(t *testing.T) {
	admin := testserver.Start(t, "--controllers=").Admin()
	add(t, admin.CoreV1().ServiceAccounts("default").Create, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}})
	accounts, err := admin.CoreV1().ServiceAccounts("").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if len(accounts.Items) != 1 {
		t.Errorf("%d service accounts, one was made", len(accounts.Items))
	}
}

func testTokenSecret(t *testing.T, admin kubernetes.Interface, rootCAs []byte) {
	addNamespace(t, admin, "tokens")
	account := add(t, admin.CoreV1().ServiceAccounts("tokens").Create, &corev1.ServiceAccount{
		ObjectMeta: metav1.ObjectMeta{Name: "robot"},
		Secrets:    []corev1.ObjectReference{{Name: "robot-token"}, {Name: "another"}},
	})
	secrets := admin.CoreV1().Secrets("tokens")
	for _, name := range []string{"robot-token", "another"} {
		add(t, secrets.Create, tokenSecret(name, "robot"))
	}
	var secret *corev1.Secret
	eventually(t, "a filled secret", func(ctx context.Context) (err error) {
		if secret, err = secrets.Get(ctx, "robot-token", metav1.GetOptions{}); err == nil && len(secret.Data["token"]) == 0 {
			return apierrors.NewNotFound(corev1.Resource("secrets"), "robot-token")
		}
		return err
	})
	token := string(secret.Data["token"])
	if diff := cmp.Diff(map[string][]byte{"token": []byte(token), "namespace": []byte("tokens"), "ca.crt": rootCAs}, secret.Data); diff != "" {
		t.Error(diff)
	}
	status := review(t, admin, token)
	if !status.Authenticated || status.User.Username != "system:serviceaccount:tokens:robot" || status.User.UID != string(account.UID) {
		t.Errorf("review of the token: %+v", status)
	}

	if err := secrets.Delete(t.Context(), "another", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the account without the secret", func(ctx context.Context) error {
		account, err := admin.CoreV1().ServiceAccounts("tokens").Get(ctx, "robot", metav1.GetOptions{})
		if err == nil && len(account.Secrets) != 1 {
			return apierrors.NewNotFound(corev1.Resource("serviceaccounts"), "robot")
		}
		return err
	})
	if err := admin.CoreV1().ServiceAccounts("tokens").Delete(t.Context(), "robot", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	if status := review(t, admin, token); status.Authenticated {
		t.Error("the token outlives its account")
	}
	gone(t, "the secret of the account", func(ctx context.Context) error {
		_, err := secrets.Get(ctx, "robot-token", metav1.GetOptions{})
		return err
	})
}

func testNamespace(t *testing.T, admin kubernetes.Interface) {
	addNamespace(t, admin, "brief")
	core := admin.CoreV1()
	add(t, core.ServiceAccounts("brief").Create, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}})
	add(t, core.Secrets("brief").Create, tokenSecret("robot-token", "robot"))
	add(t, core.Secrets("brief").Create, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "held", Finalizers: []string{"example.com/hold"}}})
	add(t, core.Pods("brief").Create, pod("pod", 3600))
	start := time.Now()
	if err := core.Namespaces().Delete(t.Context(), "brief", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	var left *corev1.SecretList
	eventually(t, "only what is held", func(ctx context.Context) error {
		pods, err := core.Pods("brief").List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		if left, err = core.Secrets("brief").List(ctx, metav1.ListOptions{}); err == nil && len(pods.Items)+len(left.Items) != 1 {
			return apierrors.NewNotFound(corev1.Resource("secrets"), "held")
		}
		return err
	})
	held := left.Items[0]
	held.Finalizers = nil
	if _, err := core.Secrets("brief").Update(t.Context(), &held, metav1.UpdateOptions{}); err != nil {
		t.Fatal(err)
	}
	gone(t, "the namespace", func(ctx context.Context) error {
		_, err := core.Namespaces().Get(ctx, "brief", metav1.GetOptions{})
		return err
	})
	t.Logf("gone after %s", time.Since(start))
	// The name is free again, and what comes has nothing of what was.
	addNamespace(t, admin, "brief")
	accounts, err := core.ServiceAccounts("brief").List(t.Context(), metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if slices.ContainsFunc(accounts.Items, func(a corev1.ServiceAccount) bool { return a.Name == "robot" }) {
		t.Error("an account outlives its namespace")
	}
}

func testPod(t *testing.T, admin kubernetes.Interface) {
	pods := admin.CoreV1().Pods("default")
	add(t, pods.Create, pod("graceful", 1))
	if err := pods.Delete(t.Context(), "graceful", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	deleted, err := pods.Get(t.Context(), "graceful", metav1.GetOptions{})
	if err != nil {
		t.Fatalf("the pod has no time to end: %v", err)
	}
	gone(t, "the pod", func(ctx context.Context) error {
		_, err := pods.Get(ctx, "graceful", metav1.GetOptions{})
		return err
	})
	if time.Now().Before(deleted.DeletionTimestamp.Time) {
		t.Error("the pod went early")
	}
}

func testBootstrapToken(t *testing.T, admin kubernetes.Interface) {
	secrets := admin.CoreV1().Secrets("kube-system")
	add(t, secrets.Create, &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "bootstrap-token-abcdef"},
		Type:       "bootstrap.kubernetes.io/token",
		StringData: map[string]string{"expiration": time.Now().Add(-time.Hour).Format(time.RFC3339)},
	})
	gone(t, "the bootstrap token", func(ctx context.Context) error {
		_, err := secrets.Get(ctx, "bootstrap-token-abcdef", metav1.GetOptions{})
		return err
	})
}

// testContents compares what the namespace-controller deletes with what the server says it has in namespaces.
func testContents(t *testing.T, admin kubernetes.Interface) {
	lists, err := admin.Discovery().ServerPreferredNamespacedResources()
	if err != nil {
		t.Fatal(err)
	}
	var served []string
	for _, list := range discovery.FilteredBy(discovery.SupportsAllVerbs{Verbs: []string{"list", "delete"}}, lists) {
		for _, resource := range list.APIResources {
			served = append(served, resource.Name)
		}
	}
	deleted := controller.ContentResources()
	slices.Sort(served)
	served = slices.Compact(served) // both groups of events have the same ones
	slices.Sort(deleted)
	if diff := cmp.Diff(served, deleted); diff != "" {
		t.Errorf("served, and deleted with a namespace:\n%s", diff)
	}
}

func addNamespace(t *testing.T, admin kubernetes.Interface, name string) {
	t.Helper()
	add(t, admin.CoreV1().Namespaces().Create, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}})
}

func tokenSecret(name, account string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{corev1.ServiceAccountNameKey: account}},
		Type:       corev1.SecretTypeServiceAccountToken,
	}
}

func pod(name string, grace int64) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: "node", ServiceAccountName: "default", TerminationGracePeriodSeconds: &grace,
			Containers: []corev1.Container{{Name: "app", Image: "app"}},
		},
	}
}

func add[T any](t *testing.T, create func(context.Context, T, metav1.CreateOptions) (T, error), obj T) T {
	t.Helper()
	made, err := create(t.Context(), obj, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func review(t *testing.T, admin kubernetes.Interface, token string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer := add(t, admin.AuthenticationV1().TokenReviews().Create,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}})
	return answer.Status
}

// eventually waits until get finds what it looks for.
func eventually(t *testing.T, what string, get func(context.Context) error) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		err := get(ctx)
		if apierrors.IsNotFound(err) {
			return false, nil
		}
		return err == nil, err
	})
	if err != nil {
		t.Fatalf("waiting for %s: %v", what, err)
	}
}

// gone waits until get finds nothing.
func gone(t *testing.T, what string, get func(context.Context) error) {
	t.Helper()
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, 20*time.Second, true, func(ctx context.Context) (bool, error) {
		err := get(ctx)
		if apierrors.IsNotFound(err) {
			return true, nil
		}
		return false, err
	})
	if err != nil {
		t.Fatalf("waiting for the end of %s: %v", what, err)
	}
}

func testRootCA(t *testing.T, admin kubernetes.Interface, rootCAs []byte) {
	addNamespace(t, admin, "rooted")
	published := func(what string) {
		t.Helper()
		eventually(t, what, func(ctx context.Context) error {
			configMap, err := admin.CoreV1().ConfigMaps("rooted").Get(ctx, "kube-root-ca.crt", metav1.GetOptions{})
			if err == nil && configMap.Data["ca.crt"] != string(rootCAs) {
				return apierrors.NewNotFound(corev1.Resource("configmaps"), "with that PEM")
			}
			return err
		})
	}
	published("the config map of a new namespace")
	patch := []byte(`{"data":{"ca.crt":"x"}}`)
	if _, err := admin.CoreV1().ConfigMaps("rooted").Patch(t.Context(), "kube-root-ca.crt", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	published("the config map after a change")
	if err := admin.CoreV1().ConfigMaps("rooted").Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	published("the config map after its deletion")
}
