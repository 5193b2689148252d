package boundobject_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"github.com/google/go-cmp/cmp"
	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/teststore"
)

// TestBind resolves references of token requests. Codes and texts are kube-apiserver's.
func TestBind(t *testing.T) {
	s := fresh(t)
	lone, foreign, lost, unowned := newObjects().pod, newObjects().pod, newObjects().pod, newObjects().pod
	lone.Name, lone.Spec.NodeName = "lone", ""
	foreign.Name, foreign.Spec.ServiceAccountName = "foreign", "other"
	lost.Name, lost.Spec.NodeName = "lost", "nowhere"
	unowned.Name, unowned.Spec.ServiceAccountName = "unowned", ""
	s.Put(lone, foreign, lost, unowned)
	type want struct {
		binding boundobject.Binding
		code    int32
		text    string
	}
	good := func(b boundobject.Binding) want { return want{binding: b} }
	refused := func(code int32, text string) want { return want{code: code, text: text} }
	const stale = ": the UID in the bound object reference (u9) does not match the UID in record. The object might have been deleted and then recreated"
	for _, test := range []struct {
		name                       string
		apiVersion, kind, of, only string
		want                       want
	}{
		{"pod", "v1", "Pod", "p", "", good(toBoth)},
		{"pod by UID", "v1", "Pod", "p", "u3", good(toBoth)},
		{"pod without a version", "", "Pod", "p", "", good(toBoth)},
		{"pod of an unknown version", "v7", "Pod", "p", "", good(toBoth)},
		{"pod of a version that doesn't parse", "a/b/c", "Pod", "p", "", good(toBoth)},
		{"pod on no node", "v1", "Pod", "lone", "", good(with(bare, func(b *boundobject.Binding) { b.Pod = ref("lone", "u3") }))},
		{"pod on a node that isn't there", "v1", "Pod", "lost", "", good(with(bare, func(b *boundobject.Binding) { b.Pod, b.Node = ref("lost", "u3"), ref("nowhere", "") }))},
		{"secret", "v1", "Secret", "s", "u2", good(toSecret)},
		{"node", "v1", "Node", "n", "u4", good(toNode)},

		{"no pod", "v1", "Pod", "gone", "", refused(http.StatusNotFound, `pods "gone" not found`)},
		{"no pod, by UID", "v1", "Pod", "gone", "u9", refused(http.StatusNotFound, `pods "gone" not found`)},
		{"no secret", "v1", "Secret", "gone", "", refused(http.StatusNotFound, `secrets "gone" not found`)},
		{"no node", "v1", "Node", "gone", "", refused(http.StatusNotFound, `nodes "gone" not found`)},
		{"another pod of the name", "v1", "Pod", "p", "u9", refused(http.StatusConflict, `Operation cannot be fulfilled on Pod "p"`+stale)},
		{"another secret of the name", "v1", "Secret", "s", "u9", refused(http.StatusConflict, `Operation cannot be fulfilled on Secret "s"`+stale)},
		{"another node of the name", "v1", "Node", "n", "u9", refused(http.StatusConflict, `Operation cannot be fulfilled on Node "n"`+stale)},
		{"pod of another account", "v1", "Pod", "foreign", "", refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name.`)},
		{"pod without an account", "v1", "Pod", "unowned", "", refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name. The pod "unowned" has none: make it with spec.serviceAccountName`)},
		{"account before UID", "v1", "Pod", "foreign", "u9", refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name.`)},
		{"nothing", "", "", "", "", refused(http.StatusBadRequest, "cannot bind token to object of type /, Kind=")},
		{"a config map", "v1", "ConfigMap", "p", "", refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=ConfigMap")},
		{"a pod of another group", "apps/v1", "Pod", "p", "", refused(http.StatusBadRequest, "cannot bind token to object of type apps/v1, Kind=Pod")},
		{"a pod in lower case", "v1", "pod", "p", "", refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=pod")},
		{"a resource", "v1", "pods", "p", "", refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=pods")},
		{"a service account", "v1", "ServiceAccount", "app", "", refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=ServiceAccount")},
		{"a validating webhook", "admissionregistration.k8s.io/v1", "ValidatingWebhookConfiguration", "x", "", refused(http.StatusBadRequest, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)")},
		{"a mutating webhook", "admissionregistration.k8s.io/v1", "MutatingWebhookConfiguration", "x", "", refused(http.StatusBadRequest, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=MutatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)")},
		{"a pod without a name", "v1", "Pod", "", "", refused(http.StatusBadRequest, "Name parameter required.")},
		{"a secret without a name", "v1", "Secret", "", "u2", refused(http.StatusBadRequest, "Name parameter required.")},
		{"a node without a name", "v1", "Node", "", "", refused(http.StatusBadRequest, "Name parameter required.")},
		{"a path", "v1", "Pod", "../p", "", refused(http.StatusBadRequest, `Name parameter invalid: "../p": may not contain '/'`)},
		{"the folder", "v1", "Secret", "..", "", refused(http.StatusBadRequest, `Name parameter invalid: "..": may not be '..'`)},
		{"a percent sign", "v1", "Node", "n%2f", "", refused(http.StatusBadRequest, `Name parameter invalid: "n%2f": may not contain '%'`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Index.Bind(t.Context(), bare, &authenticationv1.BoundObjectReference{
				APIVersion: test.apiVersion, Kind: test.kind, Name: test.of, UID: types.UID(test.only),
			})
			if test.want.code == 0 {
				if diff := cmp.Diff(test.want.binding, got); err != nil || diff != "" {
					t.Errorf("error %v, binding (-want +got):\n%s", err, diff)
				}
				return
			}
			checkError(t, err, test.want.text)
			var status apierrors.APIStatus
			if !errors.As(err, &status) || status.Status().Code != test.want.code {
				t.Errorf("%v is not answered with %d", err, test.want.code)
			}
		})
	}
	t.Run("no reference", func(t *testing.T) {
		if got, err := s.Index.Bind(t.Context(), bare, nil); err != nil || got != bare {
			t.Errorf("got %v, %v", got, err)
		}
	})
}

// TestBindToWhatEnds: that an object is on its way out is no reason not to bind to it; its tokens end when it does.
func TestBindToWhatEnds(t *testing.T) {
	s := fresh(t)
	o := newObjects()
	mark(&o.pod.ObjectMeta, -1)
	mark(&o.secret.ObjectMeta, -1)
	s.Put(o.pod, o.secret)
	for _, kind := range []string{"Pod", "Secret"} {
		of := map[string]string{"Pod": "p", "Secret": "s"}[kind]
		if _, err := s.Index.Bind(t.Context(), bare, &authenticationv1.BoundObjectReference{Kind: kind, Name: of}); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
	}
}

// TestBindWithoutStore: a pod whose node can't be looked up is no pod without a node.
func TestBindWithoutStore(t *testing.T) {
	s := teststore.New(t)
	s.Put(newObjects().pod)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Index.Bind(ctx, bare, &authenticationv1.BoundObjectReference{Kind: "Pod", Name: "p"})
	if !apierrors.IsServiceUnavailable(err) {
		t.Errorf("got %v, want 503", err)
	}
}

// TestBindSeesOtherReplicas: a reference by UID finds what another replica has made anew.
func TestBindSeesOtherReplicas(t *testing.T) {
	s := fresh(t)
	o := newObjects()
	o.pod.UID, o.secret.UID, o.node.UID = "u13", "u12", "u14"
	s.Replica().Put(o.pod, o.secret, o.node)
	for _, reference := range []authenticationv1.BoundObjectReference{
		{Kind: "Pod", Name: "p", UID: "u13"}, {Kind: "Secret", Name: "s", UID: "u12"}, {Kind: "Node", Name: "n", UID: "u14"},
	} {
		if _, err := s.Index.Bind(t.Context(), bare, &reference); err != nil {
			t.Errorf("%s: %v", reference.Kind, err)
		}
	}
}
