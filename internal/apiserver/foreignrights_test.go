package apiserver_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/authenticatorfactory"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/authorization/authorizer"
	"k8s.io/apiserver/pkg/authorization/authorizerfactory"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// proxy asks as kube-rbac-proxy does, by the library's delegation: who is it, and may they.
type proxy struct {
	audience string
	who      authenticator.Request
	may      authorizer.Authorizer
}

func newProxy(t *testing.T, client kubernetes.Interface, audience string) *proxy {
	t.Helper()
	backoff := &wait.Backoff{Duration: time.Millisecond, Factor: 1.5, Steps: 5}
	who, _, err := authenticatorfactory.DelegatingAuthenticatorConfig{
		TokenAccessReviewClient: client.AuthenticationV1(), TokenAccessReviewTimeout: 10 * time.Second, WebhookRetryBackoff: backoff,
		APIAudiences: authenticator.Audiences{audience},
	}.New()
	if err != nil {
		t.Fatal(err)
	}
	may, err := authorizerfactory.DelegatingAuthorizerConfig{SubjectAccessReviewClient: client.AuthorizationV1(), WebhookRetryBackoff: backoff}.New()
	if err != nil {
		t.Fatal(err)
	}
	return &proxy{audience, who, may}
}

// ask asks about GET /metrics with a token. The user is nil if the token is refused.
func (p *proxy) ask(t *testing.T, token string) (user.Info, authorizer.Decision, string) {
	t.Helper()
	// The proxy's filter adds the audiences of its flag.
	ctx := authenticator.WithAudiences(t.Context(), authenticator.Audiences{p.audience})
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://metrics.example/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+token)
	response, ok, err := p.who.AuthenticateRequest(request)
	if !ok || err != nil {
		return nil, authorizer.DecisionDeny, ""
	}
	decision, reason, err := p.may.Authorize(t.Context(), authorizer.AttributesRecord{User: response.User, Verb: "get", Path: "/metrics"})
	if err != nil {
		t.Fatal(err)
	}
	return response.User, decision, reason
}

// noRightsOfAccountsHere asks as kube-rbac-proxy does about tokens of clusters whose names have no prefix. The account of the same
// name here may do what is asked; the accounts of the clusters may not, though they are named alike.
func noRightsOfAccountsHere(t *testing.T, here *testserver.Server, clusters map[string]reviewed) {
	t.Helper()
	const app = "system:serviceaccount:default:app"
	ctx, core := t.Context(), here.Admin().CoreV1()
	if _, err := core.ServiceAccounts("default").Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	here.Caller(here.AdminConfig()).Run(testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
{metadata: {name: own-metrics}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: web-metrics},
 subjects: [{kind: ServiceAccount, namespace: default, name: app}, {apiGroup: rbac.authorization.k8s.io, kind: Group, name: 'system:serviceaccounts:default'}]}`})
	issued, err := core.ServiceAccounts("default").CreateToken(ctx, "app",
		&authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"vault.east"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	proxy := newProxy(t, here.As("reviewertoken"), "vault.east")
	if who, decision, reason := proxy.ask(t, issued.Status.Token); who == nil || who.GetName() != app || decision != authorizer.DecisionAllow {
		t.Errorf("the account here: %+v, decision %d, %q", who, decision, reason)
	}
	foreign, decision, reason := proxy.ask(t, clusters["east"].token(t, "vault.east"))
	if foreign == nil || foreign.GetName() != app || decision != authorizer.DecisionDeny ||
		!strings.Contains(reason, "https://east.example") || !strings.Contains(reason, "spec.kubernetes.prefix") {
		t.Fatalf("the account of a cluster: %+v, decision %d, %q", foreign, decision, reason)
	}

	// A relying party that impersonates the user gets no further, and gets no rules.
	config := here.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: app, UID: foreign.GetUID(), Groups: foreign.GetGroups(), Extra: foreign.GetExtra()}
	here.Caller(config).Run(testserver.Step{Request: "GET /metrics", Status: http.StatusForbidden})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	self := &authorizationv1.SelfSubjectRulesReview{Spec: authorizationv1.SelfSubjectRulesReviewSpec{Namespace: "default"}}
	if _, err := client.AuthorizationV1().SelfSubjectRulesReviews().Create(ctx, self, metav1.CreateOptions{}); err == nil {
		t.Error("the impersonated account of a cluster may ask for its rules")
	}
	local, err := here.As("reviewertoken").AuthorizationV1().LocalSubjectAccessReviews("default").Create(ctx, localReviewOf(foreign), metav1.CreateOptions{})
	if err == nil {
		t.Errorf("system:auth-delegator may make local access reviews: %+v", local.Status)
	}
	local, err = here.Admin().AuthorizationV1().LocalSubjectAccessReviews("default").Create(ctx, localReviewOf(foreign), metav1.CreateOptions{})
	if err != nil || local.Status.Allowed || !local.Status.Denied {
		t.Errorf("a local access review: %+v, %v", local, err)
	}
}

func localReviewOf(u user.Info) *authorizationv1.LocalSubjectAccessReview {
	review := &authorizationv1.LocalSubjectAccessReview{
		ObjectMeta: metav1.ObjectMeta{Namespace: "default"},
		Spec: authorizationv1.SubjectAccessReviewSpec{
			User: u.GetName(), UID: u.GetUID(), Groups: slices.Clone(u.GetGroups()), Extra: map[string]authorizationv1.ExtraValue{},
			ResourceAttributes: &authorizationv1.ResourceAttributes{Namespace: "default", Verb: "get", Resource: "pods"},
		},
	}
	for key, values := range u.GetExtra() {
		review.Spec.Extra[key] = values
	}
	return review
}
