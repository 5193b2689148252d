package view

import (
	"cmp"
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/storage"
)

// oneSecret is a storage that holds at most one secret, under every key, and counts how often it is read.
type oneSecret struct {
	storage.Interface // what no test needs
	uid, version      string
	fails             error
	hangs             bool
	reads             int
	reading           func() // is called while it is read
}

func (s *oneSecret) Get(ctx context.Context, key string, _ storage.GetOptions, out runtime.Object) error {
	s.reads++
	if s.reading != nil {
		s.reading()
	}
	switch {
	case s.hangs:
		<-ctx.Done()
		return ctx.Err()
	case s.fails != nil:
		return s.fails
	case s.uid == "":
		return storage.NewKeyNotFoundError(key, 0)
	}
	secret := out.(*corev1.Secret)
	secret.Namespace, secret.Name, secret.UID, secret.ResourceVersion = "ns", "s", "stored", cmp.Or(s.version, "7")
	return nil
}

// secretView returns a view of UIDs over a storage.
func secretView(stored *oneSecret) *View[string] {
	v := New(corev1.Resource("secrets"), false, func(obj runtime.Object) string { return string(obj.(*corev1.Secret).UID) })
	v.storage, v.storagePrefix = stored, "/secrets"
	v.source.new = func() runtime.Object { return &corev1.Secret{} }
	return v
}

// bring has the watch bring a secret.
func bring(t *testing.T, v *View[string], uid string, version uint64) {
	t.Helper()
	v.seen(0, Key{"ns", "s"}, version, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "s", UID: types.UID(uid)}})
}

func is(uid string) func(string) bool { return func(record string) bool { return record == uid } }

// TestFind: a good record of memory costs no read; any other is read, good or not.
func TestFind(t *testing.T) {
	stored := &oneSecret{uid: "stored"}
	v := secretView(stored)
	bring(t, v, "watched", 7)
	for want, reads := range map[string]int{"watched": 0, "stored": 1} {
		stored.reads = 0
		if got, err := v.Find(t.Context(), "ns", "s", is(want)); got != want || err != nil || stored.reads != reads {
			t.Errorf("%s: %q, %v after %d reads, want %d", want, got, err, stored.reads, reads)
		}
	}
	if got, err := v.Find(t.Context(), "ns", "s", is("neither")); got != "stored" || err != nil {
		t.Errorf("a record that is good nowhere: %q, %v", got, err)
	}
	stored.uid = ""
	if _, err := v.Find(t.Context(), "ns", "s", is("neither")); !apierrors.IsNotFound(err) {
		t.Errorf("an object that is not there: %v", err)
	}
}

// TestWhatWasReadStays: the watch, which is late, does not bring back what a read has found gone or replaced.
func TestWhatWasReadStays(t *testing.T) {
	for name, c := range map[string]struct {
		stored oneSecret
		want   string
	}{
		"gone":     {oneSecret{}, ""},
		"replaced": {oneSecret{uid: "stored", version: "9"}, "stored"},
	} {
		t.Run(name, func(t *testing.T) {
			v, clock := secretView(&c.stored), instant(time.Second)
			v.now = func() instant { return clock }
			close(v.synced)
			shows := func(when, want string) {
				t.Helper()
				if got, _ := v.Get("ns", "s"); got != want {
					t.Errorf("%s: memory shows %q, want %q", when, got, want)
				}
			}
			if _, err := v.Find(t.Context(), "ns", "s", is("watched")); err != nil && !apierrors.IsNotFound(err) {
				t.Fatal(err)
			}
			bring(t, v, "watched", 7)
			shows("when the watch brings what was before", c.want)
			v.aim(8, clock)
			v.reach(0, 8)
			shows("proved current at the instant of the read", c.want)
			if c.want == "" {
				v.seen(0, Key{"ns", "s"}, 9, nil)
			}
			v.prove(0, clock+1)
			shows("proved current later", c.want)
			bring(t, v, "later", 10)
			shows("stored anew", "later")
		})
	}
}

// TestReadOfAnotherStore: what a read brings of a store that has been replaced meanwhile is not taken in.
func TestReadOfAnotherStore(t *testing.T) {
	for _, stored := range []*oneSecret{{}, {uid: "stored"}} {
		v := secretView(stored)
		stored.reading = v.reset
		if _, err := v.Read(t.Context(), "ns", "s"); err != nil && !apierrors.IsNotFound(err) {
			t.Fatal(err)
		}
		if _, ok := v.Get("ns", "s"); ok || len(v.missed) > 0 {
			t.Errorf("%q of the former store was taken in", stored.uid)
		}
	}
}

// TestFindIsPaced sends a thousand lookups of objects that are not there in one second. Authorized requests read all the
// same.
func TestFindIsPaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stored := &oneSecret{}
		v := secretView(stored)
		refused, unavailable := 0, 0
		for range 1000 {
			switch _, err := v.Find(canceled(t), "ns", "s", is("new")); {
			case apierrors.IsNotFound(err):
				refused++
			case apierrors.IsServiceUnavailable(err):
				unavailable++
			default:
				t.Fatalf("%v", err)
			}
			time.Sleep(time.Millisecond)
		}
		if limit := findBurst + 2*findsPerSecond; stored.reads > limit || stored.reads < findBurst || refused != stored.reads || refused+unavailable != 1000 {
			t.Errorf("%d reads, want at most %d; %d refusals, %d times unavailable", stored.reads, limit, refused, unavailable)
		}
		stored.reads = 0
		authorized := context.WithValue(t.Context(), UnpacedKey{}, true)
		for range 1000 {
			if _, err := v.Find(authorized, "ns", "s", is("new")); !apierrors.IsNotFound(err) {
				t.Fatalf("%v", err)
			}
		}
		if stored.reads != 1000 {
			t.Errorf("an authorized request is paced: %d reads", stored.reads)
		}
	})
}

// canceled returns a context that has ended, for a lookup that doesn't wait.
func canceled(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

// TestFindWaitsForTheWatch: while no read is left, an object that another replica has just written is found as soon as
// the watch brings it.
func TestFindWaitsForTheWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := secretView(&oneSecret{})
		exhaust := func() {
			for v.pace.Allow() {
				continue
			}
		}
		exhaust()
		go func() {
			time.Sleep(100 * time.Millisecond)
			bring(t, v, "watched", 7)
		}()
		if got, err := v.Find(t.Context(), "ns", "s", is("watched")); got != "watched" || err != nil {
			t.Errorf("%q, %v", got, err)
		}
		exhaust()
		start := time.Now()
		_, err := v.Find(t.Context(), "ns", "s", is("never"))
		if unavailable, ok := errors.AsType[*Unavailable](err); !ok || unavailable.Error() != "the stored secrets could not be read" {
			t.Errorf("%v", err)
		}
		if waited := time.Since(start); waited > time.Second {
			t.Errorf("after %s", waited)
		}
	})
}

// TestUnavailable: whatever keeps the storage from an answer, the error is the same one, comes soon, and names no object.
func TestUnavailable(t *testing.T) {
	for name, stored := range map[string]*oneSecret{
		"no connection":       {fails: errors.New("dial unix /ns/s: connection refused")},
		"can't be decrypted":  {fails: storage.NewInternalError(errors.New("no matching prefix found"))},
		"can't be decoded":    {fails: storage.NewCorruptObjError("/ns/s", errors.New("illegal tag 0"))},
		"gives no answer":     {hangs: true},
		"is too far behind":   {fails: storage.NewTooLargeResourceVersionError(2, 1, 1)},
		"key of another kind": {fails: storage.NewUnreachableError("/ns/s", 1)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				v := secretView(stored)
				start := time.Now()
				_, err := v.Read(t.Context(), "ns", "s")
				status := apierrors.APIStatus(nil)
				if _, ok := errors.AsType[*Unavailable](err); !ok || !errors.As(err, &status) || err.Error() != "the stored secrets could not be read" {
					t.Fatalf("%v", err)
				}
				if s := status.Status(); s.Code != 503 || s.Details.RetryAfterSeconds < 1 || s.Message != err.Error() {
					t.Errorf("%v", s)
				}
				if waited := time.Since(start); waited > 5*time.Second {
					t.Errorf("after %s", waited)
				}
			})
		})
	}
}
