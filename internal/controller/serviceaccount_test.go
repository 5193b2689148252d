package controller

import (
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	clienttesting "k8s.io/client-go/testing"
)

func TestEveryActiveNamespaceHasDefaultAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "before")
		c.run(t, Config{}, "serviceaccount-controller")
		c.addNamespace(t, "after")
		synctest.Wait()
		first, ok := c.index.ServiceAccounts.Get("before", "default")
		if _, after := c.index.ServiceAccounts.Get("after", "default"); !ok || !after {
			t.Fatalf("default account in the namespace of before the start: %t, of after it: %t", ok, after)
		}

		if err := c.CoreV1().ServiceAccounts("before").Delete(t.Context(), "default", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if again, ok := c.index.ServiceAccounts.Get("before", "default"); !ok || again.UID == first.UID {
			t.Errorf("the deleted account came back: %t, as another one: %t", ok, again.UID != first.UID)
		}
	})
}

func TestTerminatingNamespaceGetsNoAccount(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newCluster(t)
		c.addNamespace(t, "team")
		c.addNamespace(t, "slow")
		if err := c.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		// Admission may know of a deletion before the controller does.
		c.before = func(action clienttesting.Action) error {
			if !action.Matches("create", "serviceaccounts") {
				return nil
			}
			err := apierrors.NewForbidden(corev1.Resource("serviceaccounts"), "default", nil)
			err.ErrStatus.Details.Causes = []metav1.StatusCause{{Type: corev1.NamespaceTerminatingCause}}
			return err
		}
		c.run(t, Config{}, "serviceaccount-controller")
		time.Sleep(time.Hour)
		if got := c.did("create serviceaccounts"); got != 1 {
			t.Errorf("%d attempts to create an account, want one: in the namespace that seemed active", got)
		}
	})
}
