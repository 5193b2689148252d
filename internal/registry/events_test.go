package registry_test

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	typedcorev1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/tools/events"
	"k8s.io/client-go/tools/record"

	"github.com/mintmark/mintmark/internal/testserver"
)

// arrives waits until the core API lists an event of a reason that has occurred a number of times.
func arrives(t *testing.T, client kubernetes.Interface, reason string, times int32) corev1.Event {
	t.Helper()
	var found corev1.Event
	err := wait.PollUntilContextTimeout(t.Context(), 10*time.Millisecond, 30*time.Second, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Events("default").List(ctx, metav1.ListOptions{FieldSelector: "reason=" + reason})
		if err != nil || len(list.Items) != 1 {
			return false, err
		}
		found = list.Items[0]
		return found.Count >= times || found.Series != nil && found.Series.Count >= times, nil
	})
	if err != nil {
		t.Fatalf("%s: %v; the latest is %+v", reason, err, found)
	}
	return found
}

// Both recorders of client-go write events, and count those that occur again.
func TestRecordersOfClientGo(t *testing.T) {
	t.Parallel()
	client := testserver.Start(t, "--controllers=").Admin()
	account, err := client.CoreV1().ServiceAccounts("default").Create(t.Context(),
		&corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "app"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}

	old := record.NewBroadcaster(record.WithContext(t.Context()))
	t.Cleanup(old.Shutdown)
	old.StartRecordingToSink(&typedcorev1.EventSinkImpl{Interface: client.CoreV1().Events("")})
	recorder := old.NewRecorder(scheme.Scheme, corev1.EventSource{Component: "test"})
	for times := int32(1); times <= 2; times++ {
		recorder.Event(account, corev1.EventTypeNormal, "Old", "an old event")
		if event := arrives(t, client, "Old", times); event.InvolvedObject.UID != account.UID {
			t.Errorf("it is about %+v", event.InvolvedObject)
		}
	}

	broadcaster := events.NewBroadcaster(&events.EventSinkImpl{Interface: client.EventsV1()})
	t.Cleanup(broadcaster.Shutdown)
	if err := broadcaster.StartRecordingToSinkWithContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	broadcaster.NewRecorder(scheme.Scheme, "example.com/test").Eventf(account, nil, corev1.EventTypeWarning, "New", "Testing", "a new event")
	if event := arrives(t, client, "New", 0); event.Message != "a new event" || event.ReportingController != "example.com/test" {
		t.Errorf("read as %+v", event)
	}
}

// An event is gone when its time to live is over.
func TestTimeToLive(t *testing.T) {
	t.Parallel()
	client := testserver.Start(t, "--controllers=", "--event-ttl=1s").Admin()
	event := &corev1.Event{ObjectMeta: metav1.ObjectMeta{Name: "short"}, InvolvedObject: corev1.ObjectReference{Namespace: "default"}}
	if _, err := client.CoreV1().Events("default").Create(t.Context(), event, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	err := wait.PollUntilContextTimeout(t.Context(), 50*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		list, err := client.CoreV1().Events("default").List(ctx, metav1.ListOptions{})
		return err == nil && len(list.Items) == 0, err
	})
	if err != nil {
		t.Fatal(err)
	}
}
