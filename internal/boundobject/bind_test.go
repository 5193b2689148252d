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
		name                          string
		apiVersion, kind, object, uid string
		want                          want
	}{
		{name: "pod", apiVersion: "v1", kind: "Pod", object: "p", want: good(toBoth)},
		{name: "pod by UID", apiVersion: "v1", kind: "Pod", object: "p", uid: "u3", want: good(toBoth)},
		{name: "pod without a version", kind: "Pod", object: "p", want: good(toBoth)},
		{name: "pod of an unknown version", apiVersion: "v7", kind: "Pod", object: "p", want: good(toBoth)},
		{name: "pod of a version that doesn't parse", apiVersion: "a/b/c", kind: "Pod", object: "p", want: good(toBoth)},
		{name: "pod on no node", apiVersion: "v1", kind: "Pod", object: "lone", want: good(with(bare, func(b *boundobject.Binding) { b.Pod = ref("lone", "u3") }))},
		{
			name:       "pod on a node that isn't there",
			apiVersion: "v1",
			kind:       "Pod",
			object:     "lost",
			want:       good(with(bare, func(b *boundobject.Binding) { b.Pod, b.Node = ref("lost", "u3"), ref("nowhere", "") })),
		},
		{name: "secret", apiVersion: "v1", kind: "Secret", object: "s", uid: "u2", want: good(toSecret)},
		{name: "node", apiVersion: "v1", kind: "Node", object: "n", uid: "u4", want: good(toNode)},

		{name: "no pod", apiVersion: "v1", kind: "Pod", object: "gone", want: refused(http.StatusNotFound, `pods "gone" not found`)},
		{name: "no pod, by UID", apiVersion: "v1", kind: "Pod", object: "gone", uid: "u9", want: refused(http.StatusNotFound, `pods "gone" not found`)},
		{name: "no secret", apiVersion: "v1", kind: "Secret", object: "gone", want: refused(http.StatusNotFound, `secrets "gone" not found`)},
		{name: "no node", apiVersion: "v1", kind: "Node", object: "gone", want: refused(http.StatusNotFound, `nodes "gone" not found`)},
		{
			name:       "another pod of the name",
			apiVersion: "v1",
			kind:       "Pod",
			object:     "p",
			uid:        "u9",
			want:       refused(http.StatusConflict, `Operation cannot be fulfilled on Pod "p"`+stale),
		},
		{
			name:       "another secret of the name",
			apiVersion: "v1",
			kind:       "Secret",
			object:     "s",
			uid:        "u9",
			want:       refused(http.StatusConflict, `Operation cannot be fulfilled on Secret "s"`+stale),
		},
		{
			name:       "another node of the name",
			apiVersion: "v1",
			kind:       "Node",
			object:     "n",
			uid:        "u9",
			want:       refused(http.StatusConflict, `Operation cannot be fulfilled on Node "n"`+stale),
		},
		{
			name:       "pod of another account",
			apiVersion: "v1",
			kind:       "Pod",
			object:     "foreign",
			want:       refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name.`),
		},
		{
			name:       "pod without an account",
			apiVersion: "v1",
			kind:       "Pod",
			object:     "unowned",
			want:       refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name. The pod "unowned" has none: make it with spec.serviceAccountName`),
		},
		{
			name:       "account before UID",
			apiVersion: "v1",
			kind:       "Pod",
			object:     "foreign",
			uid:        "u9",
			want:       refused(http.StatusBadRequest, `cannot bind token for serviceaccount "app" to pod running with different serviceaccount name.`),
		},
		{name: "nothing", want: refused(http.StatusBadRequest, "cannot bind token to object of type /, Kind=")},
		{
			name:       "a config map",
			apiVersion: "v1",
			kind:       "ConfigMap",
			object:     "p",
			want:       refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=ConfigMap"),
		},
		{
			name:       "a pod of another group",
			apiVersion: "apps/v1",
			kind:       "Pod",
			object:     "p",
			want:       refused(http.StatusBadRequest, "cannot bind token to object of type apps/v1, Kind=Pod"),
		},
		{name: "a pod in lower case", apiVersion: "v1", kind: "pod", object: "p", want: refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=pod")},
		{name: "a resource", apiVersion: "v1", kind: "pods", object: "p", want: refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=pods")},
		{
			name:       "a service account",
			apiVersion: "v1",
			kind:       "ServiceAccount",
			object:     "app",
			want:       refused(http.StatusBadRequest, "cannot bind token to object of type /v1, Kind=ServiceAccount"),
		},
		{
			name:       "a validating webhook",
			apiVersion: "admissionregistration.k8s.io/v1",
			kind:       "ValidatingWebhookConfiguration",
			object:     "x",
			want:       refused(http.StatusBadRequest, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=ValidatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"),
		},
		{
			name:       "a mutating webhook",
			apiVersion: "admissionregistration.k8s.io/v1",
			kind:       "MutatingWebhookConfiguration",
			object:     "x",
			want:       refused(http.StatusBadRequest, "cannot bind token to object of type admissionregistration.k8s.io/v1, Kind=MutatingWebhookConfiguration (feature gate APIServerWebhookAuthenticationToken is disabled)"),
		},
		{name: "a pod without a name", apiVersion: "v1", kind: "Pod", want: refused(http.StatusBadRequest, "Name parameter required.")},
		{name: "a secret without a name", apiVersion: "v1", kind: "Secret", uid: "u2", want: refused(http.StatusBadRequest, "Name parameter required.")},
		{name: "a node without a name", apiVersion: "v1", kind: "Node", want: refused(http.StatusBadRequest, "Name parameter required.")},
		{name: "a path", apiVersion: "v1", kind: "Pod", object: "../p", want: refused(http.StatusBadRequest, `Name parameter invalid: "../p": may not contain '/'`)},
		{name: "the folder", apiVersion: "v1", kind: "Secret", object: "..", want: refused(http.StatusBadRequest, `Name parameter invalid: "..": may not be '..'`)},
		{name: "a percent sign", apiVersion: "v1", kind: "Node", object: "n%2f", want: refused(http.StatusBadRequest, `Name parameter invalid: "n%2f": may not contain '%'`)},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := s.Index.Bind(t.Context(), bare, &authenticationv1.BoundObjectReference{
				APIVersion: test.apiVersion, Kind: test.kind, Name: test.object, UID: types.UID(test.uid),
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
