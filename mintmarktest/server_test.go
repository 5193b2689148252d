package mintmarktest_test

import (
	"context"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/mintmark/mintmark/mintmarktest"
)

var forProxy = mintmarktest.IssueOptions{Audiences: []string{"my-proxy"}}

// whoami returns the user of a connection.
func whoami(t *testing.T, config *rest.Config) authenticationv1.UserInfo {
	t.Helper()
	answer, err := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews().
		Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status.UserInfo
}

func TestConnections(t *testing.T) {
	server := mintmarktest.Start(t)
	if got := whoami(t, server.AdminConfig()).Groups; !slices.Contains(got, "system:masters") {
		t.Errorf("the administrator is in %q", got)
	}
	file, err := clientcmd.BuildConfigFromFlags("", server.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if file.Host != server.URL || whoami(t, file).Username != "admin" {
		t.Errorf("the kubeconfig is for %s", file.Host)
	}
	if got := whoami(t, server.UserConfig("ann", "developers")); got.Username != "ann" || !slices.Equal(got.Groups, []string{"developers", "system:authenticated"}) {
		t.Errorf("a user is %+v", got)
	}
	if got := whoami(t, server.TokenConfig(server.Issue("shop/cart"))).Username; got != "system:serviceaccount:shop:cart" {
		t.Errorf("the holder of a token is %s", got)
	}
	_, err = kubernetes.NewForConfigOrDie(server.TokenConfig("")).CoreV1().Pods("shop").List(t.Context(), metav1.ListOptions{})
	if !apierrors.IsForbidden(err) {
		t.Errorf("without a token: %v", err)
	}
}

// review returns the verdict on a token for the proxy.
func review(t *testing.T, server *mintmarktest.Server, given string) authenticationv1.TokenReviewStatus {
	t.Helper()
	answer, err := server.Client.AuthenticationV1().TokenReviews().Create(t.Context(),
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: given, Audiences: forProxy.Audiences}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return answer.Status
}

func TestForgeriesAreRefused(t *testing.T) {
	server := mintmarktest.Start(t)
	good := server.Issue("shop/cart", forProxy)
	certificates, err := rest.HTTPClientFor(server.TokenConfig(""))
	if err != nil {
		t.Fatal(err)
	}
	ctx := oidc.ClientContext(t.Context(), certificates)
	provider, err := oidc.NewProvider(ctx, server.URL)
	if err != nil {
		t.Fatal(err)
	}
	// A party that verifies tokens by itself.
	verifier := provider.Verifier(&oidc.Config{ClientID: "my-proxy"})
	if _, err := verifier.Verify(ctx, good); err != nil {
		t.Errorf("a good token does not verify: %v", err)
	}
	// This one checks no claim but iss, aud and exp, and takes AUD for aud.
	unchecked := []mintmarktest.Forgery{mintmarktest.NotYetValid, mintmarktest.IssuedInFuture, mintmarktest.NoAccount, mintmarktest.AudienceInCapitals}
	count := 0
	for kind, forged := range server.Forgeries("shop/cart", forProxy) {
		count++
		if status := review(t, server, forged); status.Authenticated || status.Error == "" {
			t.Errorf("%s: a review says %+v", kind, status)
		}
		_, err := verifier.Verify(ctx, forged)
		switch {
		case kind.NeedsReview() && err != nil:
			t.Errorf("%s: it should verify without a review: %v", kind, err)
		case !kind.NeedsReview() && err == nil && !slices.Contains(unchecked, kind):
			t.Errorf("%s: it verifies", kind)
		}
		if strings.Count(forged, ".") != 2 && kind != mintmarktest.FiveParts && kind != mintmarktest.TwoSignatures {
			t.Errorf("%s: it does not have three parts", kind)
		}
	}
	if count != len(mintmarktest.Kinds()) {
		t.Errorf("%d forged tokens of %d kinds", count, len(mintmarktest.Kinds()))
	}
	if status := review(t, server, good); !status.Authenticated {
		t.Errorf("a forgery has ended a good token: %+v", status)
	}
}

// TestKindsHaveNames: each kind is a constant, in the same order.
func TestKindsHaveNames(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "forgery.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var names []mintmarktest.Forgery
	ast.Inspect(file, func(n ast.Node) bool {
		if spec, ok := n.(*ast.ValueSpec); ok && len(spec.Values) == 1 {
			value, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil || value != spec.Names[0].Name {
				t.Errorf("%s is %s", spec.Names[0].Name, value)
			}
			names = append(names, mintmarktest.Forgery(value))
		}
		return true
	})
	if !slices.Equal(names, mintmarktest.Kinds()) {
		t.Errorf("constants %q, kinds %q", names, mintmarktest.Kinds())
	}
}

func TestClock(t *testing.T) {
	server := mintmarktest.Start(t, "--service-account-min-token-expiration=1s")
	for _, life := range []time.Duration{5 * time.Second, 10 * time.Minute, time.Hour} {
		options := forProxy
		options.Expiration = life
		given := server.Issue("shop/cart", options)
		if status := review(t, server, given); !status.Authenticated {
			t.Fatalf("a token that lives for %s: %+v", life, status)
		}
		server.Clock.Advance(life + time.Minute)
		if status := review(t, server, given); status.Authenticated || !strings.Contains(status.Error, "expired") {
			t.Errorf("a token that has lived for %s: %+v", life, status)
		}
	}
	if status := review(t, server, server.Issue("shop/cart", forProxy)); !status.Authenticated {
		t.Errorf("a token of later: %+v", status)
	}
	now := server.Clock.Now()
	account, err := server.Client.CoreV1().ServiceAccounts("shop").Create(t.Context(), newAccount("late"), metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if made := account.CreationTimestamp.Time; now.Sub(made).Abs() > time.Minute {
		t.Errorf("an object that is made at %s has the time %s", now, made)
	}
}

// TestAdvanceEndsObjects: a pod that is deleted with grace goes when the clock says so.
func TestAdvanceEndsObjects(t *testing.T) {
	server := mintmarktest.Start(t)
	server.Clock.Advance(24 * time.Hour)
	options := forProxy
	options.Pod = "cart-1"
	server.Issue("shop/cart")
	pods := server.Client.CoreV1().Pods("shop")
	_, err := pods.Create(t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "cart-1"}, Spec: corev1.PodSpec{
		NodeName: "edge", ServiceAccountName: "cart", Containers: []corev1.Container{{Name: "main", Image: "example.invalid/main"}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	given := server.Issue("shop/cart", options)
	watch, err := pods.Watch(t.Context(), metav1.ListOptions{FieldSelector: "metadata.name=cart-1"})
	if err != nil {
		t.Fatal(err)
	}
	defer watch.Stop()
	grace := int64(3600)
	if err := pods.Delete(t.Context(), "cart-1", metav1.DeleteOptions{GracePeriodSeconds: &grace}); err != nil {
		t.Fatal(err)
	}
	if status := review(t, server, given); !status.Authenticated {
		t.Errorf("the token of a pod that is about to end: %+v", status)
	}
	server.Clock.Advance(2 * time.Hour)
	for event := range watch.ResultChan() {
		if event.Type == "DELETED" {
			break
		}
	}
	if status := review(t, server, given); status.Authenticated {
		t.Errorf("the token of a pod that has ended: %+v", status)
	}
}

func TestRotateKeys(t *testing.T) {
	server := mintmarktest.Start(t)
	before := server.Issue("shop/cart", forProxy)
	server.RotateKeys()
	after := server.Issue("shop/cart", forProxy)
	header := func(given string) string { return given[:strings.IndexByte(given, '.')] }
	if header(before) == header(after) {
		t.Error("the same key signs")
	}
	for _, given := range []string{before, after} {
		if status := review(t, server, given); !status.Authenticated {
			t.Errorf("%+v", status)
		}
	}
}

// TestGone: a server leaves no goroutine, no file and no directory.
func TestGone(t *testing.T) {
	var folder string
	use := func(t *testing.T) {
		server := mintmarktest.Start(t)
		folder = filepath.Dir(server.Kubeconfig)
		review(t, server, server.Issue("shop/cart", forProxy))
	}
	t.Run("warm", use) // what a process starts once stays
	if _, err := os.Stat(folder); !os.IsNotExist(err) {
		t.Errorf("the data directory is still there: %v", err)
	}
	goroutines, files := runtime.NumGoroutine(), openFiles()
	t.Run("again", use)
	for range 200 { // connections of clients end a moment later
		if runtime.NumGoroutine() <= goroutines && openFiles() <= files {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Errorf("%d goroutines, %d before; %d files, %d before", runtime.NumGoroutine(), goroutines, openFiles(), files)
}

// openFiles is 0 where the system does not tell.
func openFiles() int {
	files, _ := os.ReadDir("/proc/self/fd")
	return len(files)
}

// TestMany: servers of one process have nothing in common.
func TestMany(t *testing.T) {
	for range 3 {
		t.Run("", func(t *testing.T) {
			t.Parallel()
			one, other := mintmarktest.Start(t), mintmarktest.Start(t)
			one.Clock.Advance(24 * time.Hour)
			given := other.Issue("shop/cart", forProxy)
			if !review(t, other, given).Authenticated || review(t, one, given).Authenticated {
				t.Error("a token is good at another server")
			}
		})
	}
}

func TestFailNext(t *testing.T) {
	server := mintmarktest.Start(t)
	client, err := rest.HTTPClientFor(server.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	get := func(path string) (status int, header http.Header, err error) {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, nil, err
		}
		_ = response.Body.Close()
		return response.StatusCode, response.Header, nil
	}
	server.FailNext(1, mintmarktest.Failure{Path: "/pods", Status: http.StatusTooManyRequests, RetryAfter: 7 * time.Second})
	server.FailNext(1, mintmarktest.Failure{Cut: true})
	if _, _, err := get("/api/v1/nodes"); err == nil {
		t.Error("a connection that is cut gave an answer")
	}
	if status, header, err := get("/api/v1/pods"); err != nil || status != http.StatusTooManyRequests || header.Get("Retry-After") != "7" {
		t.Errorf("status %d, %v", status, err)
	}
	if status, _, err := get("/api/v1/pods"); err != nil || status != http.StatusOK {
		t.Errorf("after the failures: status %d, %v", status, err)
	}
	server.FailNext(1, mintmarktest.Failure{Delay: time.Hour})
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := server.Client.CoreV1().Nodes().List(ctx, metav1.ListOptions{}); !apierrors.IsTimeout(err) && ctx.Err() == nil {
		t.Errorf("a slow answer: %v", err)
	}
	server.FailNext(1, mintmarktest.Failure{Body: `{"kind": "Surprise"}`})
	server.Issue("shop/cart") // does not take the failure
	if _, err := server.Client.CoreV1().Nodes().List(t.Context(), metav1.ListOptions{}); err == nil {
		t.Error("a wrong answer was taken")
	}
}

func TestOnReview(t *testing.T) {
	server := mintmarktest.Start(t)
	given := server.Issue("shop/cart", forProxy)
	server.OnReview(func(review *authenticationv1.TokenReview) {
		if review.Spec.Token != given || review.Status.User.Username != "system:serviceaccount:shop:cart" {
			t.Errorf("seen: %+v", review.Status)
		}
		review.Status = authenticationv1.TokenReviewStatus{Error: "not today"}
	})
	protobuf := server.AdminConfig()
	protobuf.ContentType, protobuf.AcceptContentTypes = "application/vnd.kubernetes.protobuf", "application/vnd.kubernetes.protobuf,application/json"
	for _, client := range []kubernetes.Interface{server.Client, kubernetes.NewForConfigOrDie(protobuf)} {
		answer, err := client.AuthenticationV1().TokenReviews().Create(t.Context(),
			&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: given, Audiences: forProxy.Audiences}}, metav1.CreateOptions{})
		if err != nil || answer.Status.Authenticated || answer.Status.Error != "not today" {
			t.Errorf("%+v, %v", answer.Status, err)
		}
	}
	server.OnReview(nil)
	if status := review(t, server, given); !status.Authenticated {
		t.Errorf("%+v", status)
	}
}
