package mintmarktest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/mintmarktest"
)

// accepts is a relying party: it has a token reviewed for its own audience.
func accepts(client kubernetes.Interface, token string) bool {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"my-proxy"}}}
	answer, err := client.AuthenticationV1().TokenReviews().Create(context.Background(), review, metav1.CreateOptions{})
	return err == nil && answer.Status.Authenticated && slices.Contains(answer.Status.Audiences, "my-proxy")
}

// In a test, t is the test's.
func ExampleStart() {
	inTest(func(t testing.TB) {
		server := mintmarktest.Start(t)
		token := server.Issue("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}})
		fmt.Println("accepted:", accepts(server.Client, token))

		server.Clock.Advance(2 * time.Hour)
		fmt.Println("accepted after two hours:", accepts(server.Client, token))
	})
	// Output:
	// accepted: true
	// accepted after two hours: false
}

func ExampleServer_Forgeries() {
	inTest(func(t testing.TB) {
		server := mintmarktest.Start(t)
		for kind, token := range server.Forgeries("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}}) {
			if accepts(server.Client, token) {
				t.Errorf("accepted a forged token: %s", kind)
			}
		}
	})
	// Output:
}

func ExampleServer_FailNext() {
	inTest(func(t testing.TB) {
		server := mintmarktest.Start(t)
		token := server.Issue("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}})

		server.FailNext(1, mintmarktest.Failure{Path: "/tokenreviews", Status: 500})
		fmt.Println("accepted without a verdict:", accepts(server.Client, token))
		fmt.Println("accepted with one:", accepts(server.Client, token))
	})
	// Output:
	// accepted without a verdict: false
	// accepted with one: true
}

func ExampleServer_OnReview() {
	inTest(func(t testing.TB) {
		server := mintmarktest.Start(t)
		server.OnReview(func(review *authenticationv1.TokenReview) {
			fmt.Println("reviewed for", review.Spec.Audiences, "as", review.Status.User.Username)
		})
		accepts(server.Client, server.Issue("shop/cart", mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}}))
	})
	// Output:
	// reviewed for [my-proxy] as system:serviceaccount:shop:cart
}

func ExampleServer_UserConfig() {
	inTest(func(t testing.TB) {
		server := mintmarktest.Start(t)
		client := kubernetes.NewForConfigOrDie(server.UserConfig("ann", "developers"))
		_, err := client.CoreV1().Secrets("default").List(t.Context(), metav1.ListOptions{})
		fmt.Println("ann may not list secrets:", apierrors.IsForbidden(err))
	})
	// Output:
	// ann may not list secrets: true
}
