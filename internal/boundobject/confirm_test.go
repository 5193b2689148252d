package boundobject_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/boundobject"
	"github.com/mintmark/mintmark/internal/teststore"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// TestMain keeps the log of the store out of the results.
func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	m.Run()
}

// now is when the tokens of these tests are looked at. Deletion times are whole seconds.
var now = time.Date(2026, 5, 4, 3, 2, 1, 0, time.UTC)

// objects are what a token can be bound to.
type objects struct {
	account *corev1.ServiceAccount
	secret  *corev1.Secret
	pod     *corev1.Pod
	node    *corev1.Node
}

func newObjects() objects {
	o := objects{account: teststore.Account("ns", "app", "u1"), secret: &corev1.Secret{}, pod: &corev1.Pod{}, node: &corev1.Node{}}
	o.secret.ObjectMeta = metav1.ObjectMeta{Namespace: "ns", Name: "s", UID: "u2"}
	o.pod.ObjectMeta = metav1.ObjectMeta{Namespace: "ns", Name: "p", UID: "u3"}
	o.pod.Spec = corev1.PodSpec{ServiceAccountName: "app", NodeName: "n"}
	o.node.ObjectMeta = metav1.ObjectMeta{Name: "n", UID: "u4"}
	return o
}

func ref(name string, uid types.UID) boundobject.Ref { return boundobject.Ref{Name: name, UID: uid} }

// Bindings to those objects.
var (
	bare     = boundobject.Binding{Namespace: "ns", ServiceAccount: ref("app", "u1")}
	toSecret = with(bare, func(b *boundobject.Binding) { b.Secret = ref("s", "u2") })
	toPod    = with(bare, func(b *boundobject.Binding) { b.Pod = ref("p", "u3") })
	toNode   = with(bare, func(b *boundobject.Binding) { b.Node = ref("n", "u4") })
	toBoth   = with(toPod, func(b *boundobject.Binding) { b.Node = ref("n", "u4") })
	toAll    = with(toBoth, func(b *boundobject.Binding) { b.Secret = ref("s", "u2") })
)

func with(b boundobject.Binding, change func(*boundobject.Binding)) boundobject.Binding {
	change(&b)
	return b
}

const invalidated = "service account token has been invalidated"

// TestConfirm changes what a token is bound to. Texts and order are kube-apiserver's (pkg/serviceaccount/claims.go).
func TestConfirm(t *testing.T) {
	for _, test := range []struct {
		name    string
		binding boundobject.Binding
		change  func(*teststore.Store, objects)
		want    string
	}{
		{name: "account", binding: bare},
		{name: "no account", binding: bare, change: func(s *teststore.Store, o objects) { s.Delete(o.account) }, want: `serviceaccounts "app" not found`},
		{name: "an account of another namespace", binding: with(bare, func(b *boundobject.Binding) { b.Namespace = "other" }), want: `serviceaccounts "app" not found`},
		{
			name:    "another account of the name",
			binding: bare,
			change:  func(s *teststore.Store, o objects) { o.account.UID = "u9"; s.Put(o.account) },
			want:    "service account UID (u9) does not match claim (u1)",
		},
		{
			name:    "no account in the token",
			binding: with(bare, func(b *boundobject.Binding) { b.ServiceAccount = boundobject.Ref{} }),
			want:    "resource name may not be empty",
		},
		{name: "an account without a name", binding: with(bare, func(b *boundobject.Binding) { b.ServiceAccount.Name = "" }), want: "resource name may not be empty"},
		{
			name:    "an account without a UID",
			binding: with(bare, func(b *boundobject.Binding) { b.ServiceAccount.UID = "" }),
			want:    "service account UID (u1) does not match claim ()",
		},
		{
			name:    "no namespace",
			binding: with(bare, func(b *boundobject.Binding) { b.Namespace = "" }),
			want:    "an empty namespace may not be set when a resource name is provided",
		},

		{name: "secret", binding: toSecret},
		{name: "no secret", binding: toSecret, change: func(s *teststore.Store, o objects) { s.Delete(o.secret) }, want: invalidated},
		{
			name:    "another secret of the name",
			binding: toSecret,
			change:  func(s *teststore.Store, o objects) { o.secret.UID = "u9"; s.Put(o.secret) },
			want:    "secret UID (u9) does not match service account secret ref claim (u2)",
		},
		{
			name:    "a secret without a UID",
			binding: with(bare, func(b *boundobject.Binding) { b.Secret = ref("s", "") }),
			want:    "secret UID (u2) does not match service account secret ref claim ()",
		},
		{name: "a secret without a name", binding: with(bare, func(b *boundobject.Binding) { b.Secret = ref("", "u2") }), want: invalidated},
		{name: "pod", binding: toPod},
		{name: "no pod", binding: toPod, change: func(s *teststore.Store, o objects) { s.Delete(o.pod) }, want: invalidated},
		{
			name:    "another pod of the name",
			binding: toPod,
			change:  func(s *teststore.Store, o objects) { o.pod.UID = "u9"; s.Put(o.pod) },
			want:    "pod UID (u9) does not match service account pod ref claim (u3)",
		},
		{
			name:    "a pod without a UID",
			binding: with(bare, func(b *boundobject.Binding) { b.Pod = ref("p", "") }),
			want:    "pod UID (u3) does not match service account pod ref claim ()",
		},
		{name: "a pod of another account now", binding: toPod, change: func(s *teststore.Store, o objects) { o.pod.Spec.ServiceAccountName = "other"; s.Put(o.pod) }},
		{name: "a pod that has ended", binding: toPod, change: func(s *teststore.Store, o objects) { o.pod.Status.Phase = corev1.PodSucceeded; s.Put(o.pod) }},
		{name: "node", binding: toNode},
		{name: "no node", binding: toNode, change: func(s *teststore.Store, o objects) { s.Delete(o.node) }, want: invalidated},
		{
			name:    "another node of the name",
			binding: toNode,
			change:  func(s *teststore.Store, o objects) { o.node.UID = "u9"; s.Put(o.node) },
			want:    "node UID (u9) does not match service account node ref claim (u4)",
		},
		{
			name:    "a node without a UID",
			binding: with(bare, func(b *boundobject.Binding) { b.Node = ref("n", "") }),
			want:    "node UID (u4) does not match service account node ref claim ()",
		},

		// The node of a pod is there for information.
		{name: "a pod on a node", binding: toBoth},
		{name: "a pod on no node any more", binding: toBoth, change: func(s *teststore.Store, o objects) { s.Delete(o.node) }},
		{name: "a pod on another node of the name", binding: toBoth, change: func(s *teststore.Store, o objects) { o.node.UID = "u9"; s.Put(o.node) }},
		{
			name:    "a pod on a node that is being deleted",
			binding: toBoth,
			change:  func(s *teststore.Store, o objects) { mark(&o.node.ObjectMeta, -time.Hour); s.Put(o.node) },
		},
		{name: "no pod on a node", binding: toBoth, change: func(s *teststore.Store, o objects) { s.Delete(o.pod) }, want: invalidated},

		{
			name:    "order: account before secret",
			binding: toAll,
			change:  func(s *teststore.Store, o objects) { o.account.UID = "u9"; s.Put(o.account); s.Delete(o.secret, o.pod) },
			want:    "service account UID (u9) does not match claim (u1)",
		},
		{name: "order: UID before deletion", binding: bare, change: func(s *teststore.Store, o objects) {
			o.account.UID = "u9"
			mark(&o.account.ObjectMeta, -time.Hour)
			s.Put(o.account)
		}, want: "service account UID (u9) does not match claim (u1)"},
		{name: "order: deletion of the account before the secret", binding: toAll, change: func(s *teststore.Store, o objects) {
			mark(&o.account.ObjectMeta, -time.Hour)
			s.Put(o.account)
			s.Delete(o.secret)
		}, want: "service account ns/app has been deleted"},
		{name: "order: secret before pod", binding: toAll, change: func(s *teststore.Store, o objects) {
			o.secret.UID, o.pod.UID = "u8", "u9"
			s.Put(o.secret, o.pod)
		}, want: "secret UID (u8) does not match service account secret ref claim (u2)"},
		{
			name:    "order: the pod after a good secret",
			binding: toAll,
			change:  func(s *teststore.Store, o objects) { o.pod.UID = "u9"; s.Put(o.pod) },
			want:    "pod UID (u9) does not match service account pod ref claim (u3)",
		},
		{
			name:    "order: the node after a good secret",
			binding: with(toSecret, func(b *boundobject.Binding) { b.Node = ref("n", "u9") }),
			want:    "node UID (u4) does not match service account node ref claim (u9)",
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := fresh(t)
			if test.change != nil {
				test.change(s, newObjects())
			}
			checkError(t, s.Index.Confirm(t.Context(), test.binding, now), test.want)
		})
	}
}

// mark marks an object as being deleted since, or in, some time.
func mark(o *metav1.ObjectMeta, in time.Duration) {
	at := metav1.NewTime(now.Add(in))
	o.DeletionTimestamp = &at
}

// TestConfirmDeletionGrace: a token outlives the deletion time of what it is bound to by a minute, while the object is
// still there.
func TestConfirmDeletionGrace(t *testing.T) {
	for _, kind := range []struct {
		name    string
		binding boundobject.Binding
		mark    func(objects, time.Duration, *teststore.Store)
		want    string
	}{
		{name: "account", binding: bare, mark: func(o objects, in time.Duration, s *teststore.Store) {
			mark(&o.account.ObjectMeta, in)
			s.Put(o.account)
		}, want: "service account ns/app has been deleted"},
		{name: "secret", binding: toSecret, mark: func(o objects, in time.Duration, s *teststore.Store) { mark(&o.secret.ObjectMeta, in); s.Put(o.secret) }, want: invalidated},
		{name: "pod", binding: toPod, mark: func(o objects, in time.Duration, s *teststore.Store) { mark(&o.pod.ObjectMeta, in); s.Put(o.pod) }, want: invalidated},
		{name: "node", binding: toNode, mark: func(o objects, in time.Duration, s *teststore.Store) { mark(&o.node.ObjectMeta, in); s.Put(o.node) }, want: invalidated},
	} {
		s := fresh(t)
		for in, want := range map[time.Duration]string{
			30 * time.Second:  "", // a pod with a grace period
			0:                 "",
			-59 * time.Second: "",
			-60 * time.Second: "",
			-61 * time.Second: kind.want,
			-time.Hour:        kind.want,
		} {
			kind.mark(newObjects(), in, s)
			t.Run(kind.name+" "+in.String(), func(t *testing.T) {
				checkError(t, s.Index.Confirm(t.Context(), kind.binding, now), want)
			})
		}
		kind.mark(newObjects(), -60*time.Second, s)
		t.Run(kind.name+" a nanosecond later", func(t *testing.T) {
			checkError(t, s.Index.Confirm(t.Context(), kind.binding, now.Add(time.Nanosecond)), kind.want)
		})
	}
}

// TestConfirmWithoutStore: an object that can't be looked up is no reason to refuse a token.
func TestConfirmWithoutStore(t *testing.T) {
	s := teststore.New(t)
	ctx := canceled(t)
	checkError(t, s.Index.Confirm(ctx, bare, now), "the stored serviceaccounts could not be read")
	s.Put(teststore.Account("ns", "app", "u1"))
	for name, binding := range map[string]boundobject.Binding{"secret": toSecret, "pod": toPod, "node": toNode} {
		t.Run(name, func(t *testing.T) {
			err := s.Index.Confirm(ctx, binding, now)
			checkError(t, err, "the stored "+name+"s could not be read")
			if tokenreview.NoVerdict(err) == nil {
				t.Error("it is told as a refusal")
			}
		})
	}
}

// canceled returns a context with which the store gives no answer.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestGoneIsRemembered: the store is asked once whether an object is gone, and again ten seconds later. An object that is
// there after all counts from when the view has it.
func TestGoneIsRemembered(t *testing.T) {
	for name, test := range map[string]struct {
		binding boundobject.Binding
		change  func(*teststore.Store, objects)
		want    string
	}{
		"account":         {bare, func(s *teststore.Store, o objects) { s.Delete(o.account) }, `serviceaccounts "app" not found`},
		"another account": {bare, func(s *teststore.Store, o objects) { o.account.UID = "u9"; s.Put(o.account) }, "service account UID (u9) does not match claim (u1)"},
		"pod":             {toPod, func(s *teststore.Store, o objects) { s.Delete(o.pod) }, invalidated},
		"another pod":     {toPod, func(s *teststore.Store, o objects) { o.pod.UID = "u9"; s.Put(o.pod) }, "pod UID (u9) does not match service account pod ref claim (u3)"},
		"secret":          {toSecret, func(s *teststore.Store, o objects) { s.Delete(o.secret) }, invalidated},
		"node":            {toNode, func(s *teststore.Store, o objects) { s.Delete(o.node) }, invalidated},
	} {
		t.Run(name, func(t *testing.T) {
			s := fresh(t)
			test.change(s, newObjects())
			checkError(t, s.Index.Confirm(t.Context(), test.binding, now), test.want)
			checkError(t, s.Index.Confirm(canceled(t), test.binding, now.Add(9*time.Second)), test.want)
			if err := s.Index.Confirm(canceled(t), test.binding, now.Add(11*time.Second)); tokenreview.NoVerdict(err) == nil {
				t.Errorf("ten seconds later: %v", err)
			}
			o := newObjects()
			s.Put(o.account, o.pod, o.secret, o.node)
			checkError(t, s.Index.Confirm(canceled(t), test.binding, now.Add(time.Second)), "")
		})
	}
}

// TestConfirmSeesOtherReplicas: an object that another replica has made, or made anew, counts at once.
func TestConfirmSeesOtherReplicas(t *testing.T) {
	s := teststore.New(t)
	other := s.Replica()
	for _, turn := range []string{"made", "made anew"} {
		o := newObjects()
		uid := func(old types.UID) types.UID { return old + types.UID(turn) }
		o.account.UID, o.secret.UID, o.pod.UID, o.node.UID = uid("u1"), uid("u2"), uid("u3"), uid("u4")
		other.Put(o.account, o.secret, o.pod, o.node)
		if turn == "made" {
			s.Put(o.account, o.secret, o.pod, o.node) // so that memory holds these next time
		}
		for name, b := range map[string]boundobject.Binding{"account": bare, "secret": toSecret, "pod": toPod, "node": toNode} {
			b.ServiceAccount.UID = o.account.UID
			for _, ref := range []*boundobject.Ref{&b.Secret, &b.Pod, &b.Node} {
				if ref.Name != "" {
					ref.UID = uid(ref.UID)
				}
			}
			t.Run(turn+" "+name, func(t *testing.T) {
				checkError(t, s.Index.Confirm(t.Context(), b, now), "")
			})
		}
	}
	other.Put(teststore.Account("ns", "new", "u7"))
	t.Run("unknown here", func(t *testing.T) {
		checkError(t, s.Index.Confirm(t.Context(), with(bare, func(b *boundobject.Binding) { b.ServiceAccount = ref("new", "u7") }), now), "")
	})
}

// fresh returns a store that holds the objects as they are at first.
func fresh(t *testing.T) *teststore.Store {
	t.Helper()
	s := teststore.New(t)
	o := newObjects()
	s.Put(o.account, o.secret, o.pod, o.node)
	return s
}

func checkError(t *testing.T, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("error %q, want %q", got, want)
	}
}
