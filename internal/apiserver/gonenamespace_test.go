package apiserver_test

import (
	"fmt"
	"testing"
	"time"

	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestGoneNamespaceTakesNothing deletes a namespace at one replica, and then creates objects in it at another one, which is
// told late of what others do. They would come to life for the next owner of the name.
func TestGoneNamespaceTakesNothing(t *testing.T) {
	t.Parallel()
	endpoint, _ := newMember(t, t.TempDir())
	flags := storedFlags(t)
	near := testserver.Start(t, append(flags, "--controllers=namespace-controller", "--etcd-servers="+endpoint)...).Admin()
	far := testserver.Start(t, append(flags, "--max-staleness=30s", "--etcd-servers="+slowWatch(t, endpoint, 3*time.Second))...).Admin()
	var now metav1.CreateOptions
	for round := range 2 {
		if _, err := near.CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: "team"}}, now); err != nil {
			t.Fatal(err)
		}
		// Permissions are decided by memory alone, and this one was given after the namespace was made.
		told := fmt.Sprint("told-", round)
		if _, err := near.RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: told},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "cluster-admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: told}},
		}, now); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the far replica remembers the namespace", func() bool {
			review, err := far.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
				Spec: authorizationv1.SubjectAccessReviewSpec{User: told, ResourceAttributes: &authorizationv1.ResourceAttributes{Verb: "get", Resource: "pods"}},
			}, now)
			return err == nil && review.Status.Allowed
		})
		if err := near.CoreV1().Namespaces().Delete(t.Context(), "team", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the namespace is gone", func() bool {
			_, err := near.CoreV1().Namespaces().Get(t.Context(), "team", metav1.GetOptions{})
			return apierrors.IsNotFound(err)
		})
		_, err := far.RbacV1().RoleBindings("team").Create(t.Context(), &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{Name: "stranger"},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "admin"},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "stranger"}},
		}, now)
		if !apierrors.IsNotFound(err) {
			t.Errorf("a role binding in a namespace that is gone: %v", err)
		}
		_, err = far.CoreV1().ServiceAccounts("team").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "stranger"}}, now)
		if !apierrors.IsNotFound(err) {
			t.Errorf("an account in a namespace that is gone: %v", err)
		}
	}
}
