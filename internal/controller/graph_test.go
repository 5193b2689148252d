package controller

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/client-go/metadata/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/view"
)

// stubView is a view of objects that never change by themselves.
type stubView struct {
	objects map[view.Key]*corev1.Secret
	reads   int
	err     error // of reading an object that isn't there
}

func (s *stubView) OnChange(view.Handler) {}

func (s *stubView) Linked(each func(view.Key, *view.Links)) {
	for key, secret := range s.objects {
		if links := view.LinksOf(secret); links != nil {
			each(key, links)
		}
	}
}

func (s *stubView) Object(_ context.Context, namespace, name string) (runtime.Object, error) {
	s.reads++
	if secret := s.objects[view.Key{Namespace: namespace, Name: name}]; secret != nil {
		return secret, nil
	}
	return nil, s.err
}

// secretOf is a secret of version 7 with the owner "gone".
func secretOf(name string, change ...func(*corev1.Secret)) (view.Key, *corev1.Secret) {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{
		Namespace: "team", Name: name, UID: "uid-of-secret", ResourceVersion: "7",
		OwnerReferences: []metav1.OwnerReference{{APIVersion: "v1", Kind: "Secret", Name: "gone", UID: "uid-of-owner"}},
	}}
	for _, f := range change {
		f(secret)
	}
	return key("team", name), secret
}

// collect runs the garbage collector over secrets for a while and returns its requests.
func collect(t *testing.T, stub *stubView, answer error) []clienttesting.Action {
	t.Helper()
	client := fake.NewSimpleMetadataClient(fake.NewTestScheme())
	client.PrependReactor("*", "*", func(clienttesting.Action) (bool, runtime.Object, error) {
		return true, &metav1.PartialObjectMetadata{}, answer
	})
	ctx, cancel := context.WithTimeout(klog.NewContext(t.Context(), klog.Logger{}), time.Hour)
	defer cancel()
	controllers, err := New(Config{
		Controllers: sets.New(GarbageCollector),
		Metadata:    client,
		Resources: []Resource{{
			GroupVersionResource: corev1.SchemeGroupVersion.WithResource("secrets"), Kind: "Secret", Namespaced: true, View: stub,
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	controllers.Run(ctx)
	return client.Actions()
}

// An owner that can't be read is not taken for gone, and is read again later and later.
func TestOwnerThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name, secret := secretOf("key")
		stub := &stubView{objects: map[view.Key]*corev1.Secret{name: secret}, err: errors.New("no quorum")}
		if actions := collect(t, stub, nil); len(actions) > 0 {
			t.Errorf("the collector sent %v", actions)
		}
		if stub.reads < 2*60 || stub.reads > 2*(60+20) {
			t.Errorf("%d reads in an hour", stub.reads)
		}
	})
}

// What is deleted is the object that was judged, in the version that was judged.
func TestDeletionInsistsOnWhatWasRead(t *testing.T) {
	for policy, finalizers := range map[metav1.DeletionPropagation][]string{
		metav1.DeletePropagationBackground: {"example.com/hold"},
		metav1.DeletePropagationForeground: {metav1.FinalizerDeleteDependents},
		metav1.DeletePropagationOrphan:     {metav1.FinalizerOrphanDependents},
	} {
		t.Run(string(policy), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				name, secret := secretOf("key", func(s *corev1.Secret) { s.Finalizers = finalizers })
				stub := &stubView{
					objects: map[view.Key]*corev1.Secret{name: secret}, err: apierrors.NewNotFound(corev1.Resource("secrets"), "gone"),
				}
				actions := collect(t, stub, nil)
				if len(actions) != 1 {
					t.Fatalf("the collector sent %v", actions)
				}
				options := actions[0].(clienttesting.DeleteActionImpl).DeleteOptions
				if want := options.Preconditions; want == nil || want.UID == nil || *want.UID != "uid-of-secret" ||
					want.ResourceVersion == nil || *want.ResourceVersion != "7" {
					t.Errorf("preconditions %v", want)
				}
				if options.PropagationPolicy == nil || *options.PropagationPolicy != policy {
					t.Errorf("policy %v", options.PropagationPolicy)
				}
			})
		})
	}
}

// An object that was changed meanwhile is judged anew.
func TestConflictIsTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name, secret := secretOf("key")
		stub := &stubView{objects: map[view.Key]*corev1.Secret{name: secret}, err: apierrors.NewNotFound(corev1.Resource("secrets"), "gone")}
		actions := collect(t, stub, apierrors.NewConflict(corev1.Resource("secrets"), "key", errors.New("changed")))
		if len(actions) < 60 || len(actions) > 80 || stub.reads != 2*len(actions) {
			t.Errorf("%d deletions tried in an hour, after %d reads", len(actions), stub.reads)
		}
	})
}

// The graph holds nothing of objects that have gone.
func TestGraphForgets(t *testing.T) {
	resources := []Resource{{GroupVersionResource: corev1.SchemeGroupVersion.WithResource("secrets"), Kind: "Secret", Namespaced: true}}
	g := newGraph(resources)
	name, secret := secretOf("key", func(s *corev1.Secret) {
		s.OwnerReferences = append(s.OwnerReferences, s.OwnerReferences[0], metav1.OwnerReference{APIVersion: "apps/v1", Kind: "Deployment", Name: "d", UID: "u"})
	})
	m := member{&resources[0], name}
	g.set(m, view.LinksOf(secret))
	if dependents := g.of(member{&resources[0], key("team", "gone")}, "uid-of-owner"); len(dependents) != 1 || dependents[0] != m {
		t.Errorf("dependents: %v", dependents)
	}
	g.set(m, nil)
	if len(g.links)+len(g.dependents) > 0 {
		t.Errorf("the graph holds %v and %v", g.links, g.dependents)
	}
}
