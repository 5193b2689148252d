package projectedvolume_test

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	clienttesting "k8s.io/client-go/testing"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// TestRestart: the next process takes over the files of the one before, and they stay while there are no others.
func TestRestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		root, server := t.TempDir(), newAPI(configMap("config", map[string]string{"k": "v"}))
		p := pod("p", tokenSource("token", "", 600), configMapSource("config", false))
		first, stop := start(t, projectedvolume.Config{Client: server, Root: root})
		first.Set(p)
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		server.fail(apierrors.NewServiceUnavailable("away"))
		keeper, _ := run(t, projectedvolume.Config{Client: server, Root: root})
		keeper.Set(p)
		if err := keeper.Retain([]types.NamespacedName{key(p)}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if got := files(t, root, "p"); got["token"] != "app//1" || got["k"] != "v" || only(t, keeper).Err == nil {
			t.Errorf("the files are %q", got)
		}
		server.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := files(t, root, "p"); got["token"] != "app//2" {
			t.Errorf("the files are %q", got)
		}
	})
}

// TestLeft: until the server has told of its pods, the status has what an earlier process left, and how long that is good.
func TestLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		end := time.Now().Add(time.Hour)
		root, server := t.TempDir(), newAPI()
		server.jwt = true
		p := pod("p", tokenSource("token", "", 3600))
		first, stop := start(t, projectedvolume.Config{Client: server, Root: root})
		first.Set(p)
		first.Set(pod("gone", tokenSource("token", "", 600)))
		synctest.Wait()
		if err := stop(); err != nil {
			t.Fatal(err)
		}
		server.fail(apierrors.NewServiceUnavailable("away"))
		keeper, _ := run(t, projectedvolume.Config{Client: server, Root: root})
		status := keeper.Status()
		if len(status) != 2 || status[1].Pod != "p" || status[1].Volume != "v" || !status[1].Left || !status[1].Written.IsZero() || !status[1].GoodUntil.Equal(end) {
			t.Errorf("before a pod is known: %+v", status)
		}
		if got, want := metric(t, "expiration"), float64(time.Now().Add(10*time.Minute).Unix()); got != want {
			t.Errorf("the first token ends at %v, want %v", got, want)
		}
		keeper.Set(p)
		if err := keeper.Retain([]types.NamespacedName{key(p)}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if status := only(t, keeper); !status.Left || status.Err == nil || !status.GoodUntil.Equal(end) {
			t.Errorf("while the server is away: %+v", status)
		}
		server.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if status := only(t, keeper); status.Left || status.Err != nil || !status.GoodUntil.After(end) {
			t.Errorf("after: %+v", status)
		}
	})
}

// TestPanic: a panic of what is called neither ends the volume nor is told.
func TestPanic(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server := newAPI()
		var once sync.Once
		server.PrependReactor("create", "serviceaccounts", func(clienttesting.Action) (bool, runtime.Object, error) {
			once.Do(func() { panic("a token") })
			return false, nil, nil
		})
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600)))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app//1" {
			t.Errorf("the file has %q", got)
		}
	})
}
