package projectedvolume_test

import (
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// directories are the names in the directory of all pods.
func directories(t *testing.T, root string) []string {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, "pods"))
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	return names
}

// TestChanges: files follow labels, annotations and objects, and tokens that are not due stay.
func TestChanges(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAPI(configMap("config", map[string]string{"one": "1"}))
		keeper, root := run(t, projectedvolume.Config{Client: server})
		p := pod("p", tokenSource("token", "", 600), configMapSource("config", true), secretSource("secret", true), fieldSource("label", "metadata.labels['l']"))
		keeper.Set(p)
		expect := func(what string, want map[string]string) {
			t.Helper()
			synctest.Wait()
			if got := files(t, root, "p"); len(got) != len(want) || !slices.ContainsFunc([]string{"token", "one", "two", "key", "label"}, func(name string) bool { return got[name] == want[name] }) {
				t.Errorf("%s: %q, want %q", what, got, want)
			}
			for name, content := range want {
				if got := files(t, root, "p")[name]; got != content {
					t.Errorf("%s: %s has %q, want %q", what, name, got, content)
				}
			}
		}
		expect("at first", map[string]string{"token": "app//1", "one": "1", "label": ""})

		changed := p.DeepCopy()
		changed.Labels = map[string]string{"l": "x"}
		keeper.Set(changed)
		expect("a label", map[string]string{"token": "app//1", "one": "1", "label": "x"})

		maps, secrets := server.CoreV1().ConfigMaps("ns"), server.CoreV1().Secrets("ns")
		maps.Update(t.Context(), configMap("config", map[string]string{"one": "one", "two": "2"}), metav1.UpdateOptions{})
		expect("a config map", map[string]string{"token": "app//1", "one": "one", "two": "2", "label": "x"})
		secrets.Create(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "secret"}, Data: map[string][]byte{"key": []byte("k")}}, metav1.CreateOptions{})
		expect("a secret", map[string]string{"token": "app//1", "one": "one", "two": "2", "key": "k", "label": "x"})
		maps.Delete(t.Context(), "config", metav1.DeleteOptions{})
		expect("no config map", map[string]string{"token": "app//1", "key": "k", "label": "x"})
		time.Sleep(6 * time.Second)
		synctest.Wait()
		if entries, _ := os.ReadDir(filepath.Join(root, "pods/ns_p/volumes/v")); len(entries) != 5 {
			t.Errorf("in the volume are %v", entries)
		}

		time.Sleep(24 * time.Hour)
		synctest.Wait()
		before := len(server.Actions())
		time.Sleep(7 * time.Minute)
		synctest.Wait()
		for _, action := range server.Actions()[before:] {
			if action.GetSubresource() != "token" && action.GetVerb() != "get" {
				t.Errorf("an idle agent does %s %s", action.GetVerb(), action.GetResource().Resource)
			}
		}
	})
}

// TestPodsComeAndGo: what is there is what Retain and Set say, and Remove is for one uid.
func TestPodsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root := t.TempDir()
		for _, left := range []string{"ns_gone/volumes/v/..data", "ns_p/volumes/old/x", "0f1e2d3c-uid-of-a-kubelet/volumes", "NS_x/volumes"} {
			os.MkdirAll(filepath.Join(root, "pods", left), 0o755)
		}
		other := t.TempDir()
		os.Symlink(other, filepath.Join(root, "pods", "ns_link"))
		server := newAPI()
		keeper, _ := run(t, projectedvolume.Config{Client: server, Root: root})
		p, terminating := pod("p", tokenSource("token", "", 600)), pod("t", tokenSource("token", "", 600))
		keeper.Set(p)
		keeper.Set(terminating)
		keeper.Set(&corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "plain", UID: "u"}})
		if err := keeper.Retain([]types.NamespacedName{key(p), key(terminating), {Namespace: "ns", Name: "plain"}}); err != nil {
			t.Error(err)
		}
		<-keeper.Written()
		synctest.Wait()
		if got := directories(t, root); !slices.Equal(got, []string{"0f1e2d3c-uid-of-a-kubelet", "NS_x", "ns_link", "ns_p", "ns_t"}) {
			t.Errorf("there are %q", got)
		}
		if _, err := os.Stat(filepath.Join(root, "pods/ns_p/volumes/old")); err == nil {
			t.Error("the directory of a volume that the pod does not have is still there")
		}

		deleted := terminating.DeepCopy()
		deleted.DeletionTimestamp = &metav1.Time{Time: time.Now()}
		keeper.Set(deleted)
		time.Sleep(9 * time.Minute)
		synctest.Wait()
		if got := read(t, root, "t", "token"); got == "app//2" {
			t.Errorf("a pod that terminates has %q", got)
		}

		again := p.DeepCopy()
		again.UID, again.Spec.ServiceAccountName = "another", "other"
		watched, err := os.Stat(filepath.Join(root, "pods/ns_p/volumes/v"))
		if err != nil {
			t.Fatal(err)
		}
		keeper.Set(again)
		keeper.Remove("ns", "p", p.UID)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "other//5" {
			t.Errorf("the new pod of the same name has %q", got)
		}
		if now, err := os.Stat(filepath.Join(root, "pods/ns_p/volumes/v")); err != nil || !os.SameFile(now, watched) {
			t.Errorf("the directory that readers watch is another one: %v", err)
		}
		keeper.Remove("ns", "p", "")
		synctest.Wait()
		keeper.Set(again)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "other//6" {
			t.Errorf("a pod that went and came has %q", got)
		}

		finished := again.DeepCopy()
		finished.Status.Phase = corev1.PodSucceeded
		keeper.Set(finished)
		keeper.Remove("ns", "t", terminating.UID)
		synctest.Wait()
		if got := directories(t, root); slices.Contains(got, "ns_p") || slices.Contains(got, "ns_t") || len(keeper.Status()) > 0 {
			t.Errorf("there are %q", got)
		}
		if entries, err := os.ReadDir(other); err != nil || len(entries) > 0 {
			t.Errorf("outside: %v, %v", entries, err)
		}
	})
}

// TestRemoveWhileAsking: a pod that goes while its token is asked for does not wait for the answer.
func TestRemoveWhileAsking(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, answer := newAPI(), make(chan struct{})
		server.PrependReactor("create", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
			<-answer
			return false, nil, nil
		})
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600)))
		synctest.Wait()
		keeper.Remove("ns", "p", "")
		close(answer)
		synctest.Wait()
		if got := directories(t, root); len(got) > 0 {
			t.Errorf("there are %q", got)
		}
	})
}

// TestWritten: it is closed when all pods that are known have their files, and Changed is called on the way.
func TestWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAPI()
		server.fail(apierrors.NewServiceUnavailable("away"))
		var calls atomic.Int32
		keeper, _ := run(t, projectedvolume.Config{Client: server, Changed: func() { calls.Add(1) }})
		written := func() bool {
			synctest.Wait()
			select {
			case <-keeper.Written():
				return true
			default:
				return false
			}
		}
		p := pod("p", tokenSource("token", "", 600))
		keeper.Set(p)
		if err := keeper.Retain([]types.NamespacedName{key(p)}); err != nil {
			t.Fatal(err)
		}
		if written() {
			t.Error("written before anything is")
		}
		server.fail(nil)
		time.Sleep(time.Minute)
		if !written() || calls.Load() < 2 {
			t.Errorf("not written, after %d changes", calls.Load())
		}
	})
	synctest.Test(t, func(t *testing.T) {
		keeper, _ := run(t, projectedvolume.Config{Client: newAPI()})
		if err := keeper.Retain(nil); err != nil {
			t.Fatal(err)
		}
		<-keeper.Written()
	})
}
