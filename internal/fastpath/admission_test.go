package fastpath_test

import (
	"context"
	"errors"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes"

	"github.com/mintmark/mintmark/internal/testserver"
)

// TestAdmission asks over both transports for tokens that a node may have and that it may not have, and for one in a
// namespace that is about to go.
func TestAdmission(t *testing.T) {
	t.Parallel()
	users := write(t, "tokens.csv", "node-token,system:node:n1,n1-uid,system:nodes\n")
	server := testserver.Start(t, "--controllers=", "--token-auth-file="+users)
	node, admin := server.Caller(server.TokenConfig("node-token")), server.Caller(server.AdminConfig())
	mine, theirs := podWithToken(t, server.Admin(), "mine", "n1"), podWithToken(t, server.Admin(), "theirs", "n2")
	admin.Run(
		testserver.Step{Request: "POST /api/v1/namespaces", Body: "metadata: {name: old}", Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/old/serviceaccounts", Body: "metadata: {name: app}", Status: 201},
	)
	const old = "POST /api/v1/namespaces/old/serviceaccounts/app/token"
	for _, header := range shapes {
		ask := func(path, body string, status int, want string) testserver.Step {
			return testserver.Step{Request: path, Headers: []string{header}, Body: body, Status: status, Want: want}
		}
		node.Run(
			ask("POST "+requestPath, boundTo(mine), 201, "{kind: TokenRequest}"),
			ask("POST "+requestPath, boundTo(theirs), 403, `{message: "serviceaccounts \"app\" is forbidden: node requested token bound to a pod scheduled on a different node"}`),
			ask("POST "+requestPath, tokenBody, 403, `{message: "serviceaccounts \"app\" is forbidden: node requested token not bound to a pod"}`),
		)
		admin.Run(ask(old, tokenBody, 201, "{kind: TokenRequest}"))
	}
	admin.Run(testserver.Step{Request: "DELETE /api/v1/namespaces/old", Status: 200, Want: "{status: {phase: Terminating}}"})
	for _, header := range shapes {
		admin.Run(testserver.Step{
			Request: old, Headers: []string{header}, Body: tokenBody, Status: 403,
			Want: `{message: "serviceaccounts \"app\" is forbidden: unable to create new content in namespace old because it is being terminated"}`,
		})
	}
}

// podWithToken makes a pod of the account app on a node, and the account if there is none. The pod wants a token for the
// server itself.
func podWithToken(t *testing.T, admin kubernetes.Interface, name, node string) *corev1.Pod {
	t.Helper()
	_, _ = admin.CoreV1().ServiceAccounts("default").Create(t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	pod, err := admin.CoreV1().Pods("default").Create(t.Context(), &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: corev1.PodSpec{
			NodeName: node, ServiceAccountName: "app", Containers: []corev1.Container{{Name: "main", Image: "none"}},
			Volumes: []corev1.Volume{{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: "t"}}},
			}}}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return pod
}

// boundTo is a request for a token that is tied to a pod.
func boundTo(pod *corev1.Pod) string {
	return `{"kind":"TokenRequest","apiVersion":"` + authenticationv1.SchemeGroupVersion.String() +
		`","spec":{"boundObjectRef":{"kind":"Pod","apiVersion":"v1","name":"` + pod.Name + `","uid":"` + string(pod.UID) + `"}}}`
}

// strict is an admission that refuses objects once they are complete.
type strict struct{ admission.ValidationInterface }

func (strict) Handles(operation admission.Operation) bool { return operation == admission.Create }

func (strict) Validate(context.Context, admission.Attributes, admission.ObjectInterfaces) error {
	return errors.New("not this one")
}

// TestValidatingAdmission: what a validating plugin refuses is the generic chain's. The server has none of its own so far.
func TestValidatingAdmission(t *testing.T) {
	t.Parallel()
	for path, sent := range map[string]string{reviewsPath: reviewOf(secret), requestPath: tokenBody} {
		d := &doors{issued: func(*authenticationv1.TokenRequest) {}}
		cfg := d.config()
		cfg.Admission = strict{}
		d.handedOver(t, post(t, cfg, path, []byte(sent), "application/json"), sent)
	}
}
