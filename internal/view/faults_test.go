package view

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/mintmark/mintmark/internal/scheme"
)

// bound is how old what the model's views say may be.
const bound = 10 * time.Second

// truth is what was stored under a key from an instant on.
type truth struct {
	from  instant
	value string // empty where there was nothing
}

// model is a Set over a store with faults, and the truth about what is stored.
type model struct {
	t       *testing.T
	random  *rand.Rand
	store   *fakeStore
	set     *Set
	secrets *View[string]
	nodes   *View[string]
	past    map[string][]truth
	names   map[int64]map[string]string // what was stored, by version
	asleep  atomic.Int64                // how long the process stood still, in nanoseconds
	start   time.Time
	trace   []string
	checked int
}

func newModel(t *testing.T, seed uint64) *model {
	m := &model{
		t: t, random: rand.New(rand.NewPCG(seed, 1)), store: newFakeStore(), start: time.Now(),
		past: map[string][]truth{}, names: map[int64]map[string]string{1: {}},
	}
	m.secrets = New(corev1.Resource("secrets"), false, func(obj runtime.Object) string { return obj.(*corev1.Secret).Labels["value"] })
	m.secrets.source = encoding{prefix: "/registry/secrets/", codec: scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), new: func() runtime.Object { return &corev1.Secret{} }}
	m.nodes = New(corev1.Resource("nodes"), true, func(obj runtime.Object) string { return obj.(*corev1.Node).Labels["value"] })
	m.nodes.source = encoding{prefix: "/registry/nodes/", clusterScoped: true, codec: scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), new: func() runtime.Object { return &corev1.Node{} }}
	m.set = NewSet(m.store, bound, m.secrets, m.nodes)
	m.set.now = m.clock
	return m
}

// clock is that of the bubble, and the time in which nothing ran.
func (m *model) clock() instant {
	return instant(time.Since(m.start)+time.Second) + instant(m.asleep.Load())
}

// keys are those of the objects in the model.
var keys = []string{"/registry/secrets/ns/a", "/registry/secrets/ns/b", "/registry/nodes/n"}

func encoded(key, value string) []byte {
	var obj runtime.Object = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: key[len(key)-1:], Labels: map[string]string{"value": value}}}
	if key == "/registry/nodes/n" {
		obj = &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n", Labels: map[string]string{"value": value}}}
	}
	data, err := runtime.Encode(scheme.Codecs.LegacyCodec(corev1.SchemeGroupVersion), obj)
	if err != nil {
		panic(err)
	}
	return data
}

// write stores, deletes or spoils an object, as another process does.
func (m *model) write() string {
	key := keys[m.random.IntN(len(keys))]
	value, data := "", []byte(nil)
	switch m.random.IntN(6) {
	case 0:
		data = []byte("garbage") // which is as good as nothing to whoever reads
	case 1, 2:
	default:
		value = fmt.Sprint(m.store.version + 1)
		data = encoded(key, value)
	}
	m.store.change(func() {
		m.store.put(key, data)
		now := map[string]string{}
		for k, v := range m.names[m.store.version-1] {
			now[k] = v
		}
		now[key] = value
		m.names[m.store.version] = now
	})
	m.past[key] = append(m.past[key], truth{m.clock(), value})
	return fmt.Sprintf("wrote %q to %s", value, key)
}

// step does one thing at random.
func (m *model) step() string {
	switch m.random.IntN(12) {
	case 0, 1, 2, 3:
		return m.write()
	case 4:
		m.store.change(func() { m.store.hangs = !m.store.hangs })
		return fmt.Sprint("the store hangs: ", m.store.hangs)
	case 5:
		m.store.change(func() { m.store.fails = !m.store.fails })
		return fmt.Sprint("the store fails: ", m.store.fails)
	case 6:
		m.store.change(func() { m.store.stalled = m.store.streams })
		return "the watches stall"
	case 7:
		m.store.change(func() {
			for _, w := range m.store.watchers {
				w.broken = true
			}
		})
		return "the watches break"
	case 8:
		m.store.change(func() { m.store.compacted = m.store.version - 1 })
		return "the store is compacted"
	case 9:
		return m.restore()
	case 10:
		by := time.Duration(m.random.IntN(30)) * time.Second
		m.asleep.Add(int64(by))
		return fmt.Sprintf("the process stands still for %s", by)
	default:
		by := time.Duration(m.random.IntN(4000)) * time.Millisecond
		time.Sleep(by)
		synctest.Wait()
		return fmt.Sprintf("%s pass", by)
	}
}

func (m *model) restore() string {
	version := 1 + m.random.Int64N(m.store.version)
	m.store.change(func() {
		m.store.compacted = 0
		m.store.restore(version, m.random.IntN(2) == 0)
	})
	for _, key := range keys {
		m.past[key] = append(m.past[key], truth{m.clock(), m.names[version][key]})
	}
	return fmt.Sprintf("version %d is restored", version)
}

// check compares what memory says with the truth: where the Set says that it is current, each object must be as it was at
// some instant within the bound.
func (m *model) check() {
	stamp := m.set.Stamp()
	for _, key := range keys {
		got := m.get(key)
		if !m.set.Current(stamp) {
			continue
		}
		m.checked++
		if !m.wasTrue(key, got) {
			m.t.Fatalf("%s is said to be %q, which it has not been for %s; after:\n%q", key, got, bound, m.trace)
		}
	}
}

func (m *model) get(key string) string {
	if key == "/registry/nodes/n" {
		value, _ := m.nodes.Get("", "n")
		return value
	}
	value, _ := m.secrets.Get("ns", key[len(key)-1:])
	return value
}

// wasTrue reports whether an object had a value at some instant within the bound, by the time that
// really passed.
func (m *model) wasTrue(key, value string) bool {
	now := m.clock()
	past := m.past[key]
	if value == "" && (len(past) == 0 || now.since(past[0].from) <= bound) {
		return true
	}
	for i, was := range past {
		ended := i+1 < len(past) && now.since(past[i+1].from) > bound
		if was.value == value && !ended {
			return true
		}
	}
	return false
}

// TestCurrentOrNotAtAll plays random faults: reads that hang or fail, watches that stall, break or are compacted away, an
// older state that is restored, a process that stands still, and objects that can't be decoded.
// Whenever the Set calls itself current, what it says was true within the bound; and once the faults are over it soon is
// current, and says what is stored.
func TestCurrentOrNotAtAll(t *testing.T) {
	runs := uint64(2000)
	if testing.Short() {
		runs = 200
	}
	checked := 0
	for seed := range runs {
		synctest.Test(t, func(t *testing.T) { checked += playFaults(t, seed) })
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
	t.Logf("%d runs, %d answers held against the truth", runs, checked)
	if checked < int(runs)*10 {
		t.Errorf("only %d answers were checked in %d runs", checked, runs)
	}
}

func playFaults(t *testing.T, seed uint64) int {
	m := newModel(t, seed)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { m.set.Run(ctx); close(done) }()
	for range 40 {
		m.trace = append(m.trace, m.step())
		synctest.Wait()
		m.check()
	}
	m.store.change(func() { m.store.hangs, m.store.fails = false, false }) // streams that stall never come back
	time.Sleep(30 * time.Second)
	synctest.Wait()
	if err := m.set.Ensure(ctx); err != nil {
		t.Errorf("not current when all was well again: %v; after:\n%q", err, m.trace)
	}
	for _, key := range keys {
		if got, want := m.get(key), m.names[m.store.version][key]; got != want {
			t.Errorf("%s is said to be %q when all was well again, and is %q; after:\n%q", key, got, want, m.trace)
		}
	}
	cancel()
	<-done
	return m.checked
}
