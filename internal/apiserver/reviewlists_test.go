package apiserver_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/scheme"
	"github.com/mintmark/mintmark/internal/testserver"
)

const reviewListsPath = "/apis/mintmark.io/v1alpha1/tokenreviewlists"

// TestReviewListsNeedReviews: who may create tokenreviews may create tokenreviewlists, on both transports and by what access reviews
// say, and no other permission gives or takes that.
func TestReviewListsNeedReviews(t *testing.T) {
	t.Parallel()
	tokens := filepath.Join(t.TempDir(), "tokens.csv")
	if err := os.WriteFile(tokens, []byte("ann-token,ann,1\nbob-token,bob,2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	server := testserver.Start(t, "--controllers=", "--token-auth-file="+tokens)
	bind := func(user, role string) testserver.Step {
		return testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", Status: 201, Body: `
metadata: {name: ` + user + `}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "` + role + `"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: User, name: ` + user + `}]`}
	}
	server.Caller(server.AdminConfig()).Run(
		testserver.Step{Request: "POST /apis/rbac.authorization.k8s.io/v1/clusterroles", Status: 201, Body: `
metadata: {name: lists}
rules: [{verbs: ["*"], apiGroups: [mintmark.io], resources: ["*"]}]`},
		bind("ann", "system:auth-delegator"), bind("bob", "lists"),
	)
	for _, agent := range []string{"", "User-Agent: curl/8"} {
		for token, want := range map[string]int{"ann-token": 201, "bob-token": 403} {
			_, status := server.Caller(server.TokenConfig(token)).Do("POST "+reviewListsPath, `{spec: {reviews: [{token: x}]}}`, agentOf(agent)...)
			if status != want {
				t.Errorf("%s %s: %d, want %d", token, agent, status, want)
			}
		}
	}
	for user, want := range map[string]bool{"ann": true, "bob": false} {
		if got := allowed(t, server.Admin(), user, nil, "create", "mintmark.io", "tokenreviewlists", ""); got != want {
			t.Errorf("%s: an access review says %t", user, got)
		}
	}
	t.Run("clients", func(t *testing.T) { createReviewLists(t, server) })
}

func agentOf(header string) []string {
	if header == "" {
		return nil
	}
	return []string{header}
}

// createReviewLists creates lists with the clients there are: for none of them is it a list of objects.
func createReviewLists(t *testing.T, server *testserver.Server) {
	list := &v1alpha1.TokenReviewList{
		TypeMeta: metav1.TypeMeta{APIVersion: v1alpha1.SchemeGroupVersion.String(), Kind: "TokenReviewList"},
		Spec:     v1alpha1.TokenReviewListSpec{Reviews: []authenticationv1.TokenReviewSpec{{Token: "ann-token"}, {Token: "no-such-token"}}},
	}
	config := rest.CopyConfig(server.TokenConfig("ann-token"))
	gv := v1alpha1.SchemeGroupVersion
	config.GroupVersion, config.APIPath, config.NegotiatedSerializer = &gv, "/apis", scheme.Codecs.WithoutConversion()
	typed, err := rest.RESTClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	var answer v1alpha1.TokenReviewList
	if err := typed.Post().Resource("tokenreviewlists").Body(list).Do(t.Context()).Into(&answer); err != nil {
		t.Fatal(err)
	}
	if results := answer.Status.Results; len(results) != 2 || results[0].Status.User.Username != "ann" || results[1].Status.Error != "invalid bearer token" || answer.Spec.Reviews != nil {
		t.Errorf("%+v", answer)
	}

	client, err := dynamic.NewForConfig(server.TokenConfig("ann-token"))
	if err != nil {
		t.Fatal(err)
	}
	got, err := client.Resource(gv.WithResource("tokenreviewlists")).Create(t.Context(), &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": gv.String(), "kind": "TokenReviewList", "spec": map[string]any{"reviews": []any{map[string]any{"token": "ann-token"}}},
	}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if results, _, err := unstructured.NestedSlice(got.Object, "status", "results"); err != nil || len(results) != 1 || got.IsList() {
		t.Errorf("%v, a list: %t", err, got.IsList())
	}

	if _, err := exec.LookPath("kubectl"); err != nil {
		t.Skip("there is no kubectl")
	}
	command := exec.CommandContext(t.Context(), "kubectl", "--kubeconfig", server.Kubeconfig, "create", "-o", "json", "-f", "-")
	command.Stdin = strings.NewReader("apiVersion: mintmark.io/v1alpha1\nkind: TokenReviewList\nspec: {reviews: [{token: ann-token}]}\n")
	text, err := command.CombinedOutput()
	if err != nil || !strings.Contains(string(text), `"username": "ann"`) || strings.Contains(string(text), "ann-token") {
		t.Errorf("%v: %s", err, text)
	}
}
