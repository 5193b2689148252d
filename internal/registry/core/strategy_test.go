package core

import (
	"context"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	genericapirequest "k8s.io/apiserver/pkg/endpoints/request"
	"k8s.io/apiserver/pkg/registry/rest"
	"k8s.io/apiserver/pkg/warning"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/registry"
	"github.com/mintmark/mintmark/internal/scheme"
)

// parse reads an object as the codecs do: with defaults.
func parse[T any, P interface {
	*T
	runtime.Object
}](t *testing.T, text string) P {
	t.Helper()
	obj := P(new(T))
	if err := yaml.UnmarshalStrict([]byte(text), obj); err != nil {
		t.Fatalf("%v in:\n%s", err, text)
	}
	scheme.Scheme.Default(obj)
	return obj
}

// warnings collects what a client would be warned of.
type warnings []string

func (w *warnings) AddWarning(_, text string) { *w = append(*w, text) }

func requestContext(s registry.Strategy, w *warnings) context.Context {
	namespace := ""
	if s.NamespaceScoped() {
		namespace = "ns"
	}
	return warning.WithWarningRecorder(genericapirequest.WithNamespace(context.Background(), namespace), w)
}

// create takes obj through a creation short of the storage and returns the error's text and the warnings.
func create(s registry.Strategy, obj metav1.Object) (string, []string) {
	var w warnings
	rest.FillObjectMetaSystemFields(obj)
	err := rest.BeforeCreate(s, requestContext(s, &w), obj.(runtime.Object))
	return message(err), w
}

// update does the same for an update of what create has made.
func update(s registry.Strategy, obj, old metav1.Object) (string, []string) {
	var w warnings
	obj.SetResourceVersion("1")
	old.SetResourceVersion("1")
	err := rest.BeforeUpdate(s, requestContext(s, &w), obj.(runtime.Object), old.(runtime.Object))
	return message(err), w
}

func message(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func diffText(t *testing.T, what, got, want string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("%s (-want +got):\n%s", what, d)
	}
}

func TestServiceAccount(t *testing.T) {
	s := serviceAccountStrategy{registry.NamespacedStrategy}
	sa := parse[corev1.ServiceAccount](t, `
metadata: {name: app, annotations: {kubernetes.io/enforce-mountable-secrets: "true"}}
secrets: [{name: a, namespace: elsewhere, uid: x}, {name: b}]
`)
	got, warned := create(s, sa)
	diffText(t, "error", got, "")
	if d := cmp.Diff([]corev1.ObjectReference{{Name: "a"}, {Name: "b"}}, sa.Secrets); d != "" {
		t.Errorf("references to secrets are more than names (-want +got):\n%s", d)
	}
	want := []string{"metadata.annotations[kubernetes.io/enforce-mountable-secrets]: deprecated in v1.32+; " +
		"prefer separate namespaces to isolate access to mounted secrets"}
	if d := cmp.Diff(want, warned); d != "" {
		t.Errorf("warnings (-want +got):\n%s", d)
	}
	changed := sa.DeepCopy()
	changed.Secrets[0].Kind = "Secret"
	if _, warned = update(s, changed, sa); warned != nil {
		t.Errorf("warned again of an annotation that was there: %q", warned)
	}
	if changed.Secrets[0].Kind != "" {
		t.Errorf("an update keeps more than the name of a secret")
	}

	got, _ = create(s, parse[corev1.ServiceAccount](t, `metadata: {name: App, finalizers: [mine]}`))
	diffText(t, "error", got, `ServiceAccount "App" is invalid: [metadata.name: Invalid value: "App": a lowercase RFC 1123 subdomain must `+
		`consist of lower case alphanumeric characters, '-' or '.', and must start and end with an alphanumeric character `+
		`(e.g. 'example.com', regex used for validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*'), `+
		`metadata.finalizers[0]: Invalid value: "mine": name is neither a standard finalizer name nor is it fully qualified]`)
}

func TestMetadataCannotChange(t *testing.T) {
	s := serviceAccountStrategy{registry.NamespacedStrategy}
	old := parse[corev1.ServiceAccount](t, `metadata: {name: app}`)
	if got, _ := create(s, old); got != "" {
		t.Fatal(got)
	}
	old.UID = "11111111-0000-0000-0000-000000000000"
	changed := old.DeepCopy()
	changed.UID = types.UID("22222222-0000-0000-0000-000000000000")
	got, _ := update(s, changed, old)
	diffText(t, "error", got, `ServiceAccount "app" is invalid: metadata.uid: Invalid value: `+
		`"22222222-0000-0000-0000-000000000000": field is immutable`)
}

func TestNamespace(t *testing.T) {
	s := namespaceStrategy{registry.ClusterStrategy}
	ns := parse[corev1.Namespace](t, `{metadata: {name: a, labels: {kubernetes.io/metadata.name: b}}, status: {phase: Terminating}}`)
	got, _ := create(s, ns)
	diffText(t, "error", got, "")
	if d := cmp.Diff(map[string]string{"kubernetes.io/metadata.name": "a"}, ns.Labels); d != "" {
		t.Errorf("labels (-want +got):\n%s", d)
	}
	if ns.Status.Phase != corev1.NamespaceActive || len(ns.Spec.Finalizers) != 1 || ns.Spec.Finalizers[0] != "kubernetes" {
		t.Errorf("a new namespace has the phase %q and the finalizers %q", ns.Status.Phase, ns.Spec.Finalizers)
	}

	changed := ns.DeepCopy()
	changed.Spec.Finalizers, changed.Status.Phase = nil, corev1.NamespaceTerminating
	got, _ = update(s, changed, ns)
	diffText(t, "error", got, "")
	if d := cmp.Diff(ns, changed); d != "" {
		t.Errorf("an update changes spec or status (-old +new):\n%s", d)
	}

	changed.Status.Phase = corev1.NamespaceTerminating
	got, _ = update(namespaceStatusStrategy{s}, changed, ns)
	diffText(t, "error", got, "Namespace \"a\" is invalid: status.Phase: Invalid value: \"Terminating\": "+
		"may only be 'Active' if `deletionTimestamp` is empty")

	changed = ns.DeepCopy()
	changed.Spec.Finalizers = []corev1.FinalizerName{"example.com/mine", "other"}
	got, _ = update(namespaceFinalizeStrategy{s}, changed, ns)
	diffText(t, "error", got, `Namespace "a" is invalid: spec.finalizers[1]: Invalid value: "other": `+
		`name is neither a standard finalizer name nor is it fully qualified`)

	got, _ = create(s, parse[corev1.Namespace](t, `metadata: {name: a.b}`))
	diffText(t, "error", got, `Namespace "a.b" is invalid: metadata.name: Invalid value: "a.b": must not contain dots`)
}
