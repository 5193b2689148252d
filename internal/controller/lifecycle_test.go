package controller

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
	bootstrapapi "k8s.io/cluster-bootstrap/token/api"

	"github.com/mintmark/mintmark/internal/view"
)

func key(namespace, name string) view.Key { return view.Key{Namespace: namespace, Name: name} }

func (c *cluster) addPod(t *testing.T, namespace, name string, change ...func(*corev1.Pod)) *corev1.Pod {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec:       corev1.PodSpec{NodeName: "node", TerminationGracePeriodSeconds: new(int64(30))},
	}
	for _, f := range change {
		f(pod)
	}
	return must(c.CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{}))(t)
}

func TestNamespaceGoesWithAllItHolds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "team")
		c.addNamespace(t, "other")
		for _, namespace := range []string{"team", "other"} {
			c.addAccount(t, namespace, "robot")
			c.addTokenSecret(t, namespace, "robot-token", "robot")
			c.addPod(t, namespace, "pod")
		}
		c.run(t, Config{Signer: signing("a.b.c")}, Names()...)
		synctest.Wait()
		if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(100 * time.Millisecond)
		if _, ok := c.index.Namespaces.Get("", "team"); ok {
			t.Error("the namespace is still there")
		}
		for _, resource := range []string{"serviceaccounts", "secrets", "pods"} {
			if n := len(c.all(resource, "team")); n > 0 {
				t.Errorf("%d %s are still there", n, resource)
			}
			if n := len(c.all(resource, "other")); n == 0 {
				t.Errorf("the %s of another namespace are gone", resource)
			}
		}
	})
}

func TestNamespaceWaitsForFinalizers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "team")
		c.addPod(t, "team", "pod", func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/hold"} })
		secret := c.addTokenSecret(t, "team", "held", "robot", func(s *corev1.Secret) { s.Finalizers = []string{"example.com/hold"} })
		if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.run(t, Config{}, "namespace-controller")
		time.Sleep(24 * time.Hour)
		if _, ok := c.index.Namespaces.Get("", "team"); !ok {
			t.Fatal("the namespace went before what it holds")
		}
		if n := c.did("delete secrets"); n > 24*60+20 {
			t.Errorf("%d attempts in a day", n)
		}
		if n := c.did("update namespaces/status"); n != 1 {
			t.Errorf("told %d times what keeps the namespace, which is the same all the time", n)
		}
		var conditions []string
		for _, condition := range must(c.CoreV1().Namespaces().Get(t.Context(), "team", metav1.GetOptions{}))(t).Status.Conditions {
			conditions = append(conditions, fmt.Sprintf("%s=%s %s: %s", condition.Type, condition.Status, condition.Reason, condition.Message))
		}
		if diff := cmp.Diff([]string{
			"NamespaceContentRemaining=True SomeResourcesRemain: Some resources are remaining: secrets. has 1 resource instances, pods. has 1 resource instances",
			"NamespaceFinalizersRemaining=True SomeFinalizersRemain: Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances",
		}, conditions); diff != "" {
			t.Error(diff)
		}

		if _, err := c.drop("pods", must(c.get("pods", "team", "pod"))(t)); err != nil {
			t.Fatal(err)
		}
		secret = c.secret(t, "team", secret.Name)
		secret.Finalizers = nil
		if _, err := c.CoreV1().Secrets("team").Update(t.Context(), secret, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		// No time passes: the last object that goes takes the namespace along.
		synctest.Wait()
		if _, ok := c.index.Namespaces.Get("", "team"); ok {
			t.Error("the namespace is still there")
		}
	})
}

func TestNamespaceOfAnotherFinalizer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		namespace := c.addNamespace(t, "team")
		namespace.Spec.Finalizers = append(namespace.Spec.Finalizers, "example.com/hold")
		if _, err := c.CoreV1().Namespaces().Finalize(t.Context(), namespace, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		c.run(t, Config{}, "namespace-controller")
		if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		namespace, err := c.CoreV1().Namespaces().Get(t.Context(), "team", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got := namespace.Spec.Finalizers; len(got) != 1 || got[0] != "example.com/hold" {
			t.Errorf("finalizers %v", got)
		}
		if n := c.did("create namespaces/finalize"); n != 2 {
			t.Errorf("finalized %d times", n)
		}
	})
}

func TestPodGoesWhenGraceIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addPod(t, "team", "before")
		c.addPod(t, "team", "after")
		c.addPod(t, "team", "held", func(pod *corev1.Pod) { pod.Finalizers = []string{"example.com/hold"} })
		c.addPod(t, "team", "stays")
		remove := func(name string) {
			if err := c.CoreV1().Pods("team").Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
				t.Fatal(err)
			}
		}
		remove("before")
		c.run(t, Config{}, "pod-garbage-collector-controller")
		remove("after")
		remove("held")
		time.Sleep(30*time.Second - time.Millisecond)
		if n := len(c.all("pods", "team")); n != 4 {
			t.Fatalf("%d pods before the grace is over", n)
		}
		time.Sleep(time.Hour)
		var left []string
		for _, pod := range c.all("pods", "team") {
			left = append(left, pod.GetName())
		}
		if len(left) != 2 || left[0] != "held" || left[1] != "stays" {
			t.Errorf("pods when the grace is over: %v", left)
		}
		if n := c.did("delete pods"); n != 3+3 {
			t.Errorf("%d deletes, want one to begin and one to end each", n)
		}
	})
}

func TestBootstrapTokenIsDeletedWhenItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		add := func(namespace, name, expiration string, secretType corev1.SecretType) {
			secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Type: secretType, Data: map[string][]byte{}}
			if expiration != "" {
				secret.Data["expiration"] = []byte(expiration)
			}
			must(c.CoreV1().Secrets(namespace).Create(t.Context(), secret, metav1.CreateOptions{}))(t)
		}
		in := func(d time.Duration) string { return time.Now().Add(d).Format(time.RFC3339) }
		add("kube-system", "before", in(time.Hour), bootstrapapi.SecretTypeBootstrapToken)
		add("kube-system", "expired", in(-time.Hour), bootstrapapi.SecretTypeBootstrapToken)
		c.run(t, Config{}, "token-cleaner-controller")
		add("kube-system", "after", in(time.Hour), bootstrapapi.SecretTypeBootstrapToken)
		add("kube-system", "extended", in(time.Hour), bootstrapapi.SecretTypeBootstrapToken)
		add("kube-system", "forever", "", bootstrapapi.SecretTypeBootstrapToken)
		add("kube-system", "garbled", "tomorrow", bootstrapapi.SecretTypeBootstrapToken)
		add("kube-system", "opaque", in(time.Hour), corev1.SecretTypeOpaque)
		add("team", "elsewhere", in(time.Hour), bootstrapapi.SecretTypeBootstrapToken)

		present := func(when string, want ...string) {
			t.Helper()
			synctest.Wait()
			got := map[string]bool{}
			for _, secret := range append(c.all("secrets", "kube-system"), c.all("secrets", "team")...) {
				got[secret.GetName()] = true
			}
			for _, name := range want {
				if !got[name] {
					t.Errorf("%s: %s is gone", when, name)
				}
			}
			if len(got) > len(want) {
				t.Errorf("%s: %v are there, want %v", when, got, want)
			}
		}
		present("at first", "before", "after", "extended", "forever", "opaque", "elsewhere")
		extended := c.secret(t, "kube-system", "extended")
		extended.Data["expiration"] = []byte(in(2 * time.Hour))
		must(c.CoreV1().Secrets("kube-system").Update(t.Context(), extended, metav1.UpdateOptions{}))(t)
		time.Sleep(time.Hour - time.Second)
		present("a second before", "before", "after", "extended", "forever", "opaque", "elsewhere")
		time.Sleep(2 * time.Second)
		present("after an hour", "extended", "forever", "opaque", "elsewhere")
		time.Sleep(time.Hour)
		present("after two hours", "forever", "opaque", "elsewhere")
	})
}

// TestNothingIsDeletedThatHasChanged lets someone else be faster than each controller that deletes.
func TestNothingIsDeletedThatHasChanged(t *testing.T) {
	for name, test := range map[string]struct {
		controller, resource, namespace, name string
		add                                   func(*testing.T, *cluster)
		change                                func(*testing.T, *cluster)
	}{
		"a bootstrap token that is extended": {
			controller: "token-cleaner-controller", resource: "secrets", namespace: "kube-system", name: "x", add: func(t *testing.T, c *cluster) {
				must(c.create("secrets", "kube-system", &corev1.Secret{
					ObjectMeta: metav1.ObjectMeta{Name: "x"}, Type: bootstrapapi.SecretTypeBootstrapToken,
					Data: bytesOf("expiration", time.Now().Format(time.RFC3339)),
				}))(t)
			}, change: func(t *testing.T, c *cluster) {
				secret := must(c.get("secrets", "kube-system", "x"))(t).(*corev1.Secret)
				secret.Data = bytesOf("expiration", time.Now().Add(365*24*time.Hour).Format(time.RFC3339))
				must(c.put("secrets", secret))(t)
			},
		},
		"a pod that is another": {
			controller: "pod-garbage-collector-controller", resource: "pods", namespace: "team", name: "x", add: func(t *testing.T, c *cluster) {
				c.addPod(t, "team", "x")
				must(c.delete("pods", "team", "x", metav1.DeleteOptions{}))(t)
			}, change: func(t *testing.T, c *cluster) {
				must(c.drop("pods", must(c.get("pods", "team", "x"))(t)))(t)
				must(c.create("pods", "team", &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "x"}}))(t)
			},
		},
		"a token secret that is given to another account": {
			controller: "serviceaccount-token-controller", resource: "secrets", namespace: "team", name: "x", add: func(t *testing.T, c *cluster) {
				c.addAccount(t, "team", "robot")
				c.addTokenSecret(t, "team", "x", "nobody")
			}, change: func(t *testing.T, c *cluster) {
				secret := must(c.get("secrets", "team", "x"))(t).(*corev1.Secret)
				secret.Annotations[corev1.ServiceAccountNameKey] = "robot"
				must(c.put("secrets", secret))(t)
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				test.add(t, c)
				changed := false
				c.before = func(action clienttesting.Action) error {
					if action.Matches("delete", test.resource) && !changed {
						changed = true
						c.mu.Lock()
						defer c.mu.Unlock()
						test.change(t, c)
					}
					return nil
				}
				c.run(t, Config{Signer: signing("a.b.c")}, test.controller)
				time.Sleep(time.Hour)
				c.mu.Lock()
				defer c.mu.Unlock()
				if _, err := c.get(test.resource, test.namespace, test.name); err != nil || !changed {
					t.Errorf("changed %t, and then: %v", changed, err)
				}
			})
		})
	}
}
