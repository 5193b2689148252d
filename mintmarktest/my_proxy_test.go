package mintmarktest_test

import (
	"context"
	"slices"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/mintmarktest"
)

// proxyAccepts stands for what is tested: it has a token reviewed for its own audience.
func proxyAccepts(client kubernetes.Interface, token string) bool {
	review := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{"my-proxy"}}}
	answer, err := client.AuthenticationV1().TokenReviews().Create(context.Background(), review, metav1.CreateOptions{})
	return err == nil && answer.Status.Authenticated && slices.Contains(answer.Status.Audiences, "my-proxy")
}

func TestProxy(t *testing.T) {
	server := mintmarktest.Start(t)
	forProxy := mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}}
	good := server.Issue("shop/cart", forProxy)
	if !proxyAccepts(server.Client, good) {
		t.Error("a good token was refused")
	}
	for kind, token := range server.Forgeries("shop/cart", forProxy) {
		if proxyAccepts(server.Client, token) {
			t.Errorf("accepted a forged token: %s", kind)
		}
	}
	server.FailNext(1, mintmarktest.Failure{Path: "/tokenreviews", Status: 500})
	if proxyAccepts(server.Client, good) {
		t.Error("accepted a token without a verdict")
	}
	server.Clock.Advance(2 * time.Hour)
	if proxyAccepts(server.Client, good) {
		t.Error("accepted an expired token")
	}
}
