package controller

import (
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
)

// TestLateNamespaceController: a process that was stopped while it emptied a namespace wakes when another replica has
// emptied and removed it, and a namespace of that name was made anew. What is in the new one stays.
func TestLateNamespaceController(t *testing.T) {
	for name, late := range map[string]func(clienttesting.Action) bool{
		"stopped before it looks at the accounts": func(a clienttesting.Action) bool { return a.Matches("list", "serviceaccounts") },
		"stopped before it deletes an account":    func(a clienttesting.Action) bool { return a.Matches("delete", "serviceaccounts") },
		"stopped before it looks at the secrets":  func(a clienttesting.Action) bool { return a.Matches("list", "secrets") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c := newCluster(t)
				c.addNamespace(t, "team")
				c.addAccount(t, "team", "robot")
				c.addTokenSecret(t, "team", "robot-token", "robot")
				if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
					t.Fatal(err)
				}
				woken := false
				c.before = func(action clienttesting.Action) error {
					if woken || !late(action) {
						return nil
					}
					woken = true
					c.mu.Lock()
					defer c.mu.Unlock()
					for _, resource := range []string{"serviceaccounts", "secrets"} {
						for _, obj := range c.all(resource, "team") {
							must(c.drop(resource, must(c.get(resource, "team", obj.GetName()))(t)))(t)
						}
					}
					must(c.drop("namespaces", must(c.get("namespaces", "", "team"))(t)))(t)
					must(c.create("namespaces", "", &corev1.Namespace{
						ObjectMeta: metav1.ObjectMeta{Name: "team"},
						Spec:       corev1.NamespaceSpec{Finalizers: []corev1.FinalizerName{corev1.FinalizerKubernetes}},
					}))(t)
					must(c.create("serviceaccounts", "team", &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "robot"}}))(t)
					must(c.create("secrets", "team", &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "robot-token"}}))(t)
					return nil
				}
				c.run(t, Config{}, "namespace-controller")
				time.Sleep(time.Hour)
				synctest.Wait()
				if !woken {
					t.Fatal("the controller was not that far")
				}
				for _, resource := range []string{"serviceaccounts", "secrets"} {
					if n := len(c.all(resource, "team")); n != 1 {
						t.Errorf("%d %s are in the new namespace, want 1", n, resource)
					}
				}
				if _, ok := c.index.Namespaces.Get("", "team"); !ok {
					t.Error("the new namespace is gone")
				}
			})
		})
	}
}

// TestLateAggregation: the rules of a cluster role are stored only over the version about which they were gathered.
func TestLateAggregation(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		label := map[string]string{"part": "yes"}
		must(c.create("clusterroles", "", &rbacv1.ClusterRole{
			ObjectMeta: metav1.ObjectMeta{Name: "part", Labels: label}, Rules: []rbacv1.PolicyRule{{Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods"}}},
		}))(t)
		whole := object(must(c.create("clusterroles", "", &rbacv1.ClusterRole{
			ObjectMeta:      metav1.ObjectMeta{Name: "whole"},
			AggregationRule: &rbacv1.AggregationRule{ClusterRoleSelectors: []metav1.LabelSelector{{MatchLabels: label}}},
		}))(t))
		var tried []metav1.ObjectMeta
		c.before = func(action clienttesting.Action) error {
			patch, ok := action.(clienttesting.PatchActionImpl)
			if !ok {
				return nil
			}
			var sent rbacv1.ClusterRole
			if err := json.Unmarshal(patch.Patch, &sent); err != nil {
				t.Error(err)
			}
			if tried = append(tried, sent.ObjectMeta); len(tried) > 1 {
				return apierrors.NewNotFound(rbacv1.Resource("clusterroles"), "whole")
			}
			return apierrors.NewConflict(rbacv1.Resource("clusterroles"), "whole", errors.New("the object has been modified"))
		}
		c.run(t, Config{}, "clusterrole-aggregation-controller")
		time.Sleep(time.Minute)
		synctest.Wait()
		if len(tried) != 2 {
			t.Fatalf("tried %d times, want a second time after a conflict", len(tried))
		}
		if tried[0].UID != whole.GetUID() || tried[0].ResourceVersion != whole.GetResourceVersion() {
			t.Errorf("the patch insists on %s in version %s, gathered for %s in version %s", tried[0].UID, tried[0].ResourceVersion, whole.GetUID(), whole.GetResourceVersion())
		}
	})
}
