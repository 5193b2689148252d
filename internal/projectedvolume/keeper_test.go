package projectedvolume_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/ptr"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// api is a server of tokens: the nth token of an account is "<account>/<audience>/<n>". Its clock is that of the bubble, and offset.
type api struct {
	*fake.Clientset

	mu sync.Mutex
	// err, if it is not nil, is the answer to every request.
	err error
	// shorten is the longest life that it gives, 0 for any.
	shorten, offset time.Duration
	// empty has the tokens missing from the answers.
	empty bool
	// jwt has the tokens say their end.
	jwt     bool
	issued  []issue
	refused []time.Time
}

// issue is a token that was issued.
type issue struct {
	at      time.Time
	request authenticationv1.TokenRequest
}

func newAPI(objects ...runtime.Object) *api {
	a := &api{Clientset: fake.NewClientset(objects...)}
	a.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		if action.GetSubresource() != "token" {
			return false, nil, nil
		}
		answer, err := a.issue(action.(clienttesting.CreateActionImpl))
		return true, answer, err
	})
	return a
}

func (a *api) issue(action clienttesting.CreateActionImpl) (*authenticationv1.TokenRequest, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.err != nil {
		a.refused = append(a.refused, time.Now())
		return nil, a.err
	}
	request := action.GetObject().(*authenticationv1.TokenRequest).DeepCopy()
	seconds := ptr.Deref(request.Spec.ExpirationSeconds, 3600)
	if a.shorten != 0 {
		seconds = min(seconds, int64(a.shorten/time.Second))
	}
	request.Spec.ExpirationSeconds = &seconds
	a.issued = append(a.issued, issue{time.Now(), *request})
	request.Status.Token = fmt.Sprintf("%s/%s/%d", action.Name, strings.Join(request.Spec.Audiences, ","), len(a.issued))
	request.Status.ExpirationTimestamp = metav1.NewTime(time.Now().Add(a.offset + time.Duration(seconds)*time.Second))
	switch {
	case a.empty:
		request.Status.Token = ""
	case a.jwt:
		payload := fmt.Sprintf(`{"exp":%d}`, request.Status.ExpirationTimestamp.Unix())
		request.Status.Token = "header." + base64.RawURLEncoding.EncodeToString([]byte(payload)) + ".signature"
	}
	return request, nil
}

func (a *api) fail(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.err = err
}

// requests are the times at which tokens were issued and refused, since the start.
func (a *api) requests(start time.Time) (issued, refused []time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, i := range a.issued {
		issued = append(issued, i.at.Sub(start))
	}
	for _, at := range a.refused {
		refused = append(refused, at.Sub(start))
	}
	return issued, refused
}

// run keeps volumes until the test ends, below a new directory unless the configuration names one.
func run(t *testing.T, config projectedvolume.Config) (*projectedvolume.Keeper, string) {
	t.Helper()
	if config.Root == "" {
		config.Root = t.TempDir()
	}
	keeper, stop := start(t, config)
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	return keeper, config.Root
}

// start keeps volumes until it is stopped.
func start(t *testing.T, config projectedvolume.Config) (keeper *projectedvolume.Keeper, stop func() error) {
	t.Helper()
	keeper, err := projectedvolume.NewKeeper(config)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	go func() { done <- keeper.Run(ctx) }()
	return keeper, func() error {
		cancel()
		return <-done
	}
}

// pod is a pod with one volume, "v", of these sources.
func pod(name string, sources ...corev1.VolumeProjection) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name, UID: types.UID("uid of " + name)},
		Spec: corev1.PodSpec{
			ServiceAccountName: "app",
			Containers:         []corev1.Container{{Name: "c"}},
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: sources, DefaultMode: ptr.To[int32](0o644),
			}}}},
		},
	}
}

func tokenSource(path, audience string, seconds int64) corev1.VolumeProjection {
	return corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Path: path, Audience: audience, ExpirationSeconds: &seconds}}
}

// read reads a file of the volume "v" of a pod.
func read(t *testing.T, root, pod, name string) string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join(root, "pods", "ns_"+pod, "volumes", "v", name))
	if err != nil {
		t.Fatal(err)
	}
	return string(content)
}

// only is the status of the one volume.
func only(t *testing.T, keeper *projectedvolume.Keeper) projectedvolume.VolumeStatus {
	t.Helper()
	status := keeper.Status()
	if len(status) != 1 {
		t.Fatalf("status of %d volumes, want 1", len(status))
	}
	return status[0]
}

func key(pod *corev1.Pod) types.NamespacedName {
	return types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
}

func TestTokensAreWrittenAndRenewed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(), time.Now()
		keeper, root := run(t, projectedvolume.Config{Client: server})
		p := pod("p", tokenSource("token", "vault", 600))
		keeper.Set(p)
		if err := keeper.Retain([]types.NamespacedName{key(p)}); err != nil {
			t.Fatal(err)
		}
		<-keeper.Written()
		if got := read(t, root, "p", "token"); got != "app/vault/1" {
			t.Errorf("the file has %q", got)
		}
		if status := only(t, keeper); !status.GoodUntil.Equal(begin.Add(10*time.Minute)) || !status.Written.Equal(begin) || status.Err != nil {
			t.Errorf("status %+v", status)
		}
		server.mu.Lock()
		request := server.issued[0].request.Spec
		server.mu.Unlock()
		if bound := request.BoundObjectRef; bound == nil || *bound != (authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "p", UID: p.UID}) {
			t.Errorf("asked for a token bound to %+v", bound)
		}

		time.Sleep(469 * time.Second)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app/vault/1" {
			t.Errorf("the file has %q before 80%% of the life of its token are over", got)
		}
		time.Sleep(11 * time.Second)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app/vault/2" {
			t.Errorf("the file has %q after 80%% of the life of its token", got)
		}

		keeper.Remove("ns", "p", p.UID)
		synctest.Wait()
		if left, err := os.ReadDir(filepath.Join(root, "pods")); err != nil || len(left) > 0 {
			t.Errorf("left over: %v, %v", left, err)
		}
	})
}

func TestFailedRenewal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		server, begin := newAPI(), time.Now()
		keeper, root := run(t, projectedvolume.Config{Client: server})
		keeper.Set(pod("p", tokenSource("token", "", 600)))
		synctest.Wait()
		server.fail(apierrors.NewServiceUnavailable("away"))
		time.Sleep(599 * time.Second)
		synctest.Wait()
		if status := only(t, keeper); status.Err == nil || status.Expired(time.Now()) {
			t.Errorf("status before the end: %+v", status)
		}
		if _, refused := server.requests(begin); len(refused) < 5 || len(refused) > 30 {
			t.Errorf("%d tries in the last fifth of the life: %v", len(refused), refused)
		}
		time.Sleep(24 * time.Hour)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app//1" {
			t.Errorf("the file has %q", got)
		}
		status := only(t, keeper)
		if !status.Expired(time.Now()) || status.Err == nil || !strings.Contains(status.Err.Error(), "expired and refresh failed") || status.Next.IsZero() {
			t.Errorf("status after the end: %+v", status)
		}
		server.fail(nil)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := read(t, root, "p", "token"); got != "app//2" || only(t, keeper).Err != nil {
			t.Errorf("the file has %q, status %+v", got, only(t, keeper))
		}
	})
}
