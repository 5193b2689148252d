package controller

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

const publisher = "root-ca-certificate-publisher-controller"

// publishes checks what the config map of a namespace holds, nothing if want is empty.
func (c *cluster) publishes(t *testing.T, namespace, want string) *corev1.ConfigMap {
	t.Helper()
	synctest.Wait()
	configMap, err := c.CoreV1().ConfigMaps(namespace).Get(t.Context(), "kube-root-ca.crt", metav1.GetOptions{})
	if (err == nil) != (want != "") {
		t.Fatalf("the config map in %s: %v; want %q", namespace, err, want)
	}
	if err == nil && !cmp.Equal(configMap.Data, map[string]string{"ca.crt": want}) {
		t.Errorf("%s has %v, want %q", namespace, configMap.Data, want)
	}
	return configMap
}

func TestRootCAIsInEveryNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "before")
		roots := make(chan []byte)
		stop := c.run(t, Config{RootCA: []byte("one"), RootCAs: roots}, publisher)
		c.addNamespace(t, "after")
		for _, namespace := range []string{"before", "after"} {
			if got := c.publishes(t, namespace, "one").Annotations["kubernetes.io/description"]; got != rootCADescription {
				t.Errorf("described as %q", got)
			}
		}
		if got := c.did("create configmaps"); got != 2 {
			t.Errorf("created %d times", got)
		}
		if err := c.CoreV1().ConfigMaps("before").Delete(t.Context(), "kube-root-ca.crt", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		c.publishes(t, "before", "one")
		roots <- []byte("two")
		c.publishes(t, "before", "two")
		c.publishes(t, "after", "two")

		// What is right already is not written when the controllers start again, on this replica or on another.
		stop()
		updates := c.did("update configmaps")
		c.run(t, Config{RootCA: []byte("two")}, publisher)
		c.publishes(t, "after", "two")
		if got := c.did("update configmaps"); got != updates {
			t.Errorf("written %d times, though nothing has changed", got-updates)
		}
	})
}

// Of a config map that somebody has changed, the data and a missing description are restored. The rest is theirs.
func TestRootCAIsRestored(t *testing.T) {
	described := map[string]string{"kubernetes.io/description": "ours"}
	for name, change := range map[string]func(*corev1.ConfigMap){
		"another PEM":          func(m *corev1.ConfigMap) { m.Data = map[string]string{"ca.crt": "theirs"} },
		"a further key":        func(m *corev1.ConfigMap) { m.Data = map[string]string{"ca.crt": "one", "x": "y"} },
		"another key":          func(m *corev1.ConfigMap) { m.Data = map[string]string{"x": "one"} },
		"no data":              func(m *corev1.ConfigMap) { m.Data = nil },
		"no description":       func(m *corev1.ConfigMap) { m.Annotations = nil },
		"an empty description": func(m *corev1.ConfigMap) { m.Annotations = map[string]string{"kubernetes.io/description": ""} },
		"theirs":               func(m *corev1.ConfigMap) { m.Annotations, m.Data = described, nil },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.addNamespace(t, "team")
				c.run(t, Config{RootCA: []byte("one")}, publisher)
				configMap := c.publishes(t, "team", "one")
				configMap.Labels, configMap.BinaryData = map[string]string{"a": "b"}, map[string][]byte{"c": {1}}
				change(configMap)
				want := configMap.Annotations["kubernetes.io/description"]
				if want == "" {
					want = rootCADescription
				}
				if _, err := c.CoreV1().ConfigMaps("team").Update(t.Context(), configMap, metav1.UpdateOptions{}); err != nil {
					t.Fatal(err)
				}
				now := c.publishes(t, "team", "one")
				if got := now.Annotations["kubernetes.io/description"]; got != want {
					t.Errorf("described as %q, want %q", got, want)
				}
				if now.Labels["a"] != "b" || len(now.BinaryData) != 1 {
					t.Errorf("labels %v, bytes %v", now.Labels, now.BinaryData)
				}
			})
		})
	}
}

// The config map goes with its namespace, and doesn't come back while the namespace is being deleted.
func TestRootCADoesNotHoldItsNamespace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "team")
		c.run(t, Config{RootCA: []byte("one")}, publisher, "namespace-controller")
		c.publishes(t, "team", "one")
		if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		c.publishes(t, "team", "")
		if _, ok := c.index.Namespaces.Get("", "team"); ok {
			t.Error("the namespace is still there")
		}
		if got := c.did("create configmaps"); got != 1 {
			t.Errorf("created %d times", got)
		}
	})
}

func TestNoRootCAIsNotPublished(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "team")
		c.run(t, Config{}, publisher)
		c.publishes(t, "team", "")
	})
}
