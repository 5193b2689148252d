package view

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
)

// world is a store, as plain as can be, and a view of it. Changes happen in the store in their order. Each then reaches
// the view in one way or two: through the watch, in order and at some later time; and, if it was made by this process,
// from the writer, at any time, even long after the watch.
type world struct {
	random  *rand.Rand
	view    *View[string]
	history []change
	state   map[Key]change // what is stored now
	watched int            // how much of the history the watch has brought
	pending []change       // writes of this process that are done but have not returned yet
	told    map[Key]string // what handlers were told last
	acked   map[Key]uint64 // the latest change of an object that this process has acknowledged or seen
	packed  bool
	records map[string]bool // what the function of a packed view was told, all together
}

type change struct {
	key     Key
	version uint64
	gone    bool
}

func (c change) object() runtime.Object {
	secret := &corev1.Secret{}
	secret.Namespace, secret.Name, secret.ResourceVersion = c.key.Namespace, c.key.Name, strconv.FormatUint(c.version, 10)
	return secret
}

func newWorld(seed uint64) *world {
	w := &world{
		random: rand.New(rand.NewPCG(seed, 0)),
		view: New(corev1.Resource("secrets"), false, func(obj runtime.Object) string {
			return obj.(*corev1.Secret).ResourceVersion
		}),
		state: map[Key]change{},
		told:  map[Key]string{},
		acked: map[Key]uint64{},
	}
	return w.listen()
}

// packedWorld is a world with a packed view.
func packedWorld(seed uint64) *world {
	w := newWorld(seed)
	w.packed, w.records = true, map[string]bool{}
	w.view = NewPacked(w.view.resource, false, w.view.record, nil, func(before, after *string) {
		if before != nil {
			delete(w.records, *before)
		}
		if after != nil {
			w.records[*after] = true
		}
	})
	return w
}

// listen adds a handler.
func (w *world) listen() *world {
	w.view.OnChange(func(key Key, obj runtime.Object) {
		if obj == nil {
			w.told[key] = ""
			return
		}
		w.told[key] = obj.(*corev1.Secret).ResourceVersion
	})
	return w
}

// feed brings a change as the watch does.
func feed(v *View[string], c change) {
	if c.gone {
		v.seen(0, c.key, c.version, nil)
	} else {
		v.seen(0, c.key, c.version, c.object())
	}
	v.reach(0, c.version)
}

// listOf is a list of objects, as etcd tells it.
func listOf(changes ...change) *list[string] {
	var part []listed[string]
	for _, c := range changes {
		part = append(part, listed[string]{key: c.key, version: c.version, record: strconv.FormatUint(c.version, 10), whole: c.object()})
	}
	return &list[string]{parts: [][]listed[string]{part}, whole: true}
}

// step does one thing at random.
func (w *world) step() (did string, err error) {
	switch roll := w.random.IntN(20); {
	case roll < 8:
		return w.write(), nil
	case roll < 12:
		return w.acknowledge(), nil
	case roll < 17:
		return w.watch(), nil
	case roll < 18:
		return w.relist()
	case roll < 19:
		return w.bookmark(), nil
	default:
		return w.reread(), nil
	}
}

// write changes the store, as this process or another one.
func (w *world) write() string {
	c := change{key: Key{"ns", string(rune('a' + w.random.IntN(3)))}, version: uint64(len(w.history) + 1)}
	_, there := w.state[c.key]
	c.gone = there && w.random.IntN(2) == 0
	w.history = append(w.history, c)
	if c.gone {
		delete(w.state, c.key)
	} else {
		w.state[c.key] = c
	}
	if ours := w.random.IntN(3) > 0; ours {
		w.pending = append(w.pending, c)
		return fmt.Sprintf("wrote %v", c)
	}
	return fmt.Sprintf("another wrote %v", c)
}

// acknowledge lets a write of this process return: from then on, the view must not be behind it.
func (w *world) acknowledge() string {
	if len(w.pending) == 0 {
		return "nothing to acknowledge"
	}
	i := w.random.IntN(len(w.pending))
	c := w.pending[i]
	w.pending = append(w.pending[:i:i], w.pending[i+1:]...)
	if c.gone {
		w.view.deleted(c.object())
	} else {
		w.view.stored(c.object())
	}
	w.acked[c.key] = max(w.acked[c.key], c.version)
	return fmt.Sprintf("acknowledged %v", c)
}

// watch brings the next change.
func (w *world) watch() string {
	if w.watched == len(w.history) {
		return "nothing to watch"
	}
	c := w.history[w.watched]
	w.watched++
	w.acked[c.key] = max(w.acked[c.key], c.version)
	feed(w.view, c)
	return fmt.Sprintf("watched %v", c)
}

// relist starts the watch anew, at any version that it has not passed yet.
func (w *world) relist() (string, error) {
	w.watched += w.random.IntN(len(w.history) - w.watched + 1)
	at := map[Key]change{}
	for _, c := range w.history[:w.watched] {
		w.acked[c.key] = max(w.acked[c.key], c.version)
		if c.gone {
			delete(at, c.key)
		} else {
			at[c.key] = c
		}
	}
	list := slices.Collect(maps.Values(at))
	return fmt.Sprintf("listed at %d", w.watched), w.view.replace(0, listOf(list...), uint64(w.watched))
}

// bookmark says that there is nothing new up to where the watch is.
func (w *world) bookmark() string {
	w.view.reach(0, uint64(w.watched))
	return fmt.Sprintf("bookmark at %d", w.watched)
}

// reread is an update of this process that changed nothing: the writer gets what is stored.
func (w *world) reread() string {
	c, ok := w.state[Key{"ns", string(rune('a' + w.random.IntN(3)))}]
	if !ok {
		return "nothing to leave as it is"
	}
	w.view.stored(c.object())
	w.acked[c.key] = max(w.acked[c.key], c.version)
	return fmt.Sprintf("left %v as it is", c)
}

// check compares the view with the history: for every object the view must be at one of its versions, and at none that
// is older than the latest that was acknowledged or seen. Handlers must have been told what the view shows.
func (w *world) check() error {
	for _, name := range []string{"a", "b", "c"} {
		key := Key{"ns", name}
		record, ok := w.view.Get(key.Namespace, key.Name)
		if w.packed && w.records[record] != ok {
			return fmt.Errorf("%s is at %q, and the function was told of %v", name, record, w.records)
		}
		if told := w.told[key]; told != record && !w.packed {
			return fmt.Errorf("%s is at %q, and handlers were told of %q", name, record, told)
		}
		if err := w.plausible(key, record, ok); err != nil {
			return err
		}
	}
	return nil
}

// plausible reports an error unless the object is, or was at some time since the latest acknowledged change, as the
// view shows it.
func (w *world) plausible(key Key, record string, ok bool) error {
	latest := w.acked[key]
	if latest == 0 && !ok {
		return nil // nobody has told of it
	}
	for _, c := range w.history {
		if c.key != key || c.version < latest {
			continue
		}
		if c.gone && !ok || !c.gone && ok && record == strconv.FormatUint(c.version, 10) {
			return nil
		}
	}
	return fmt.Errorf("%v is there: %t, at %q, but the change %d was acknowledged", key, ok, record, latest)
}

// settle brings everything that is still on its way, and compares the view with the store.
func (w *world) settle() error {
	for len(w.pending) > 0 || w.watched < len(w.history) {
		if w.random.IntN(2) == 0 {
			w.acknowledge()
		} else {
			w.watch()
		}
		if err := w.check(); err != nil {
			return err
		}
	}
	held := len(w.view.Keys(func(Key, string) bool { return true }))
	if w.packed {
		held = len(w.records)
	}
	if held != len(w.state) {
		return fmt.Errorf("the view holds %d objects, the store %d", held, len(w.state))
	}
	for key, c := range w.state {
		if record, ok := w.view.Get(key.Namespace, key.Name); !ok || record != strconv.FormatUint(c.version, 10) {
			return fmt.Errorf("%v is at %q in the view and at %d in the store", key, record, c.version)
		}
	}
	if len(w.view.gone) > 0 {
		return fmt.Errorf("%d deletions are remembered that the watch has passed", len(w.view.gone))
	}
	return nil
}

// TestViewIsNeverBehind plays random interleavings of writes, acknowledgements and watch events, with objects that are
// deleted and made anew, against a plain model.
func TestViewIsNeverBehind(t *testing.T) {
	runs := uint64(3000)
	if testing.Short() {
		runs = 300
	}
	for seed := range runs {
		w := newWorld(seed)
		if seed%3 == 0 {
			w = packedWorld(seed)
		}
		var trace []string
		fail := func(err error) {
			t.Fatalf("seed %d: %v, after:\n%q", seed, err, trace)
		}
		if _, err := w.relist(); err != nil {
			fail(err)
		}
		for range 60 {
			did, err := w.step()
			trace = append(trace, did)
			if err != nil {
				fail(err)
			}
			if err := w.check(); err != nil {
				fail(err)
			}
		}
		if err := w.settle(); err != nil {
			fail(err)
		}
	}
}

// TestPassedByTheWatch: what the watch has passed is not applied again, whatever has become of the object since.
func TestPassedByTheWatch(t *testing.T) {
	key := Key{"ns", "a"}
	at := func(version uint64) runtime.Object { return change{key: key, version: version}.object() }
	for name, test := range map[string]struct {
		late func(*View[string])
		want string
	}{
		"a write, of an object that is gone":      {func(v *View[string]) { v.stored(at(2)) }, ""},
		"a deletion, of an object that is there":  {func(v *View[string]) { v.deleted(at(3)) }, "4"},
		"an old write, of an object made anew":    {func(v *View[string]) { v.stored(at(2)) }, "4"},
		"a write of the version that is there":    {func(v *View[string]) { v.stored(at(4)) }, "4"},
		"a write that the watch has yet to bring": {func(v *View[string]) { v.stored(at(6)) }, "6"},
		"a deletion that it has yet to bring":     {func(v *View[string]) { v.deleted(at(6)) }, ""},
		"a write, after a bookmark":               {func(v *View[string]) { v.reach(0, 6); v.stored(at(6)) }, "4"},
		"two writes, in the wrong order":          {func(v *View[string]) { v.stored(at(7)); v.stored(at(6)) }, "7"},
		"a write after a later deletion":          {func(v *View[string]) { v.deleted(at(7)); v.stored(at(6)) }, ""},
		"a deletion after a later write":          {func(v *View[string]) { v.stored(at(7)); v.deleted(at(6)) }, "7"},
		"an event, after a later deletion by us":  {func(v *View[string]) { v.deleted(at(7)); feed(v, change{key: key, version: 6}) }, ""},
		"an event, after a later write by us":     {func(v *View[string]) { v.stored(at(7)); feed(v, change{key: key, version: 6, gone: true}) }, "7"},
		"a list from before a deletion by us": {func(v *View[string]) {
			v.deleted(at(7))
			_ = v.replace(0, listOf(change{key: key, version: 4}), 6)
		}, ""},
		"a list from before a write by us": {func(v *View[string]) { v.stored(at(7)); _ = v.replace(0, listOf(), 6) }, "7"},
		"a list without it":                {func(v *View[string]) { _ = v.replace(0, listOf(), 6) }, ""},
		"a list, then a late deletion": {func(v *View[string]) {
			_ = v.replace(0, listOf(change{key: key, version: 8}), 8)
			v.deleted(at(7))
		}, "8"},
		"a write, a list after it, a late write":   {func(v *View[string]) { _ = v.replace(0, listOf(), 8); v.stored(at(7)) }, ""},
		"a deletion by us, then made anew by them": {func(v *View[string]) { v.deleted(at(7)); feed(v, change{key: key, version: 8}) }, "8"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(0)
			for _, c := range []change{{key, 1, false}, {key, 2, false}, {key, 3, true}} {
				feed(w.view, c)
			}
			if name != "a write, of an object that is gone" {
				feed(w.view, change{key: key, version: 4})
			}
			test.late(w.view)
			if got, _ := w.view.Get(key.Namespace, key.Name); got != test.want {
				t.Errorf("the object is at %q, want %q", got, test.want)
			}
		})
	}
}

// TestSyncedAfterTheFirstList: before that, the view doesn't know what it misses.
func TestSyncedAfterTheFirstList(t *testing.T) {
	w := newWorld(0)
	synced := func() bool {
		select {
		case <-w.view.Synced():
			return true
		default:
			return false
		}
	}
	w.view.stored(change{key: Key{"ns", "a"}, version: 1}.object())
	if synced() {
		t.Error("in step before anything was listed")
	}
	for range 2 {
		if _, err := w.relist(); err != nil {
			t.Fatal(err)
		}
		if !synced() {
			t.Error("not in step although everything was listed")
		}
	}
}
