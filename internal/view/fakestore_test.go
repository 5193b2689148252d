package view

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/metadata"
)

// fakeStore is etcd as far as a Set sees it, with faults to order. Watches are delivered by the goroutines of the
// watchers, in order.
type fakeStore struct {
	mu            sync.Mutex
	changed       *sync.Cond
	cluster, term uint64
	version       int64
	objects       map[string]*mvccpb.KeyValue
	history       []*clientv3.Event // of all versions, from 1 on
	compacted     int64
	watchers      []*fakeWatcher

	hangs   bool          // reads are not answered
	fails   bool          // reads are answered with an error
	slow    time.Duration // answers to reads are that long on their way
	batch   int           // how many events a response has at most; 0 is one
	mute    bool          // no stream brings anything any more, but that it has ended
	left    int           // how many responses come before the streams stall, where it is not 0
	stalled int           // streams up to this number bring nothing any more
	streams int           // that were begun
}

type fakeWatcher struct {
	prefix   string
	next     int64 // the first version that it has not been told of
	start    int64 // the first version that it was to be told of
	stream   string
	number   int
	progress int  // progress notifications that it owes
	broken   bool // ends with an error
	done     bool
}

func newFakeStore() *fakeStore {
	f := &fakeStore{cluster: 1, term: 1000, version: 1, objects: map[string]*mvccpb.KeyValue{}, history: []*clientv3.Event{nil}}
	f.changed = sync.NewCond(&f.mu)
	return f
}

// change does something to the store, and has the watchers look.
func (f *fakeStore) change(do func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	do()
	f.changed.Broadcast()
}

// put stores an object; without a value it deletes it.
func (f *fakeStore) put(key string, value []byte) {
	f.version++
	kv := &mvccpb.KeyValue{Key: []byte(key), Value: value, ModRevision: f.version}
	event := &clientv3.Event{Type: mvccpb.PUT, Kv: kv}
	f.objects[key] = kv
	if value == nil {
		delete(f.objects, key)
		event.Type = mvccpb.DELETE
	}
	f.history = append(f.history, event)
}

// restore goes back to an older version. That takes another cluster, or one of the same id whose elections are counted
// from the beginning.
func (f *fakeStore) restore(version int64, another bool) {
	f.version = version
	f.history = f.history[:version]
	f.objects = at(f.history[1:])
	if another {
		f.cluster++
	} else {
		f.term--
	}
}

// at returns what is stored after events.
func at(events []*clientv3.Event) map[string]*mvccpb.KeyValue {
	objects := map[string]*mvccpb.KeyValue{}
	for _, event := range events {
		objects[string(event.Kv.Key)] = event.Kv
		if event.Type == mvccpb.DELETE {
			delete(objects, string(event.Kv.Key))
		}
	}
	return objects
}

func (f *fakeStore) header() *etcdserverpb.ResponseHeader {
	return &etcdserverpb.ResponseHeader{ClusterId: f.cluster, RaftTerm: f.term, Revision: f.version}
}

// Get reads one key or a range. What it says may be old when the answer comes.
func (f *fakeStore) Get(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, error) {
	response, slow, err := f.read(ctx, key, options...)
	if slow == 0 {
		return response, err
	}
	select {
	case <-time.After(slow):
		return response, err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// read reads, and tells how long the answer is on its way.
func (f *fakeStore) read(ctx context.Context, key string, options ...clientv3.OpOption) (*clientv3.GetResponse, time.Duration, error) {
	stop := context.AfterFunc(ctx, func() { f.change(func() {}) })
	defer stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.hangs && ctx.Err() == nil {
		f.changed.Wait()
	}
	if ctx.Err() != nil {
		return nil, 0, ctx.Err()
	}
	if f.fails {
		return nil, f.slow, errors.New("etcdserver: request timed out")
	}
	op := clientv3.OpGet(key, options...)
	response := &clientv3.GetResponse{Header: f.header()}
	objects := f.objects
	if rev := op.Rev(); rev > 0 {
		switch {
		case rev > f.version:
			return nil, f.slow, rpctypes.ErrFutureRev
		case rev < f.compacted:
			return nil, f.slow, rpctypes.ErrCompacted
		}
		objects = at(f.history[1:rev])
	}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		in := name == key
		if end := op.RangeBytes(); end != nil {
			in = name >= key && bytes.Compare([]byte(name), end) < 0
		}
		if in {
			response.Kvs = append(response.Kvs, objects[name])
		}
	}
	return response, f.slow, nil
}

// Watch tells of changes below a prefix from a version on.
func (f *fakeStore) Watch(ctx context.Context, key string, options ...clientv3.OpOption) clientv3.WatchChan {
	op := clientv3.OpGet(key, options...)
	changes := make(chan clientv3.WatchResponse)
	md, _ := metadata.FromOutgoingContext(ctx)
	f.mu.Lock()
	f.streams++
	w := &fakeWatcher{prefix: key, next: op.Rev(), start: op.Rev(), stream: md.Get(streamKey)[0], number: f.streams}
	f.watchers = append(f.watchers, w)
	f.mu.Unlock()
	context.AfterFunc(ctx, func() { f.change(func() { w.done = true }) })
	go f.deliver(ctx, w, changes)
	return changes
}

func (f *fakeStore) deliver(ctx context.Context, w *fakeWatcher, changes chan<- clientv3.WatchResponse) {
	defer close(changes)
	for {
		response, ok := f.await(w)
		if !ok {
			return
		}
		select {
		case changes <- response:
		case <-ctx.Done():
			return
		}
		if response.CompactRevision > 0 || response.Canceled {
			return
		}
	}
}

// await returns what a watcher is told next.
func (f *fakeStore) await(w *fakeWatcher) (clientv3.WatchResponse, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for {
		header := f.header()
		switch {
		case w.done:
			return clientv3.WatchResponse{}, false
		case w.number <= f.stalled, f.mute && !w.broken:
		case w.broken:
			w.broken = false
			return clientv3.WatchResponse{Canceled: true}, true
		case w.next <= f.compacted:
			return clientv3.WatchResponse{CompactRevision: f.compacted + 1}, true
		case w.next <= f.version:
			events := f.events(w)
			if len(events) == 0 {
				continue
			}
			if f.left--; f.left == 0 {
				f.stalled = f.streams
			}
			// The version in the header is that of the store, also where more events are to come.
			return clientv3.WatchResponse{Header: header, Events: events}, true
		case w.progress > 0:
			w.progress--
			return clientv3.WatchResponse{Header: header}, true
		}
		f.changed.Wait()
	}
}

// events returns the next events for a watcher, as many as one response has. The lock is held.
func (f *fakeStore) events(w *fakeWatcher) (events []*clientv3.Event) {
	for w.next <= f.version && len(events) < max(1, f.batch) {
		event := f.history[w.next-1]
		w.next++
		if event != nil && bytes.HasPrefix(event.Kv.Key, []byte(w.prefix)) {
			events = append(events, event)
		}
	}
	return events
}

// RequestProgress has the watches of a stream told how far they are, unless one of them is to begin in the future.
func (f *fakeStore) RequestProgress(ctx context.Context) error {
	md, _ := metadata.FromOutgoingContext(ctx)
	f.change(func() {
		stream := md.Get(streamKey)[0]
		if slices.ContainsFunc(f.watchers, func(w *fakeWatcher) bool { return !w.done && w.stream == stream && w.start > f.version }) {
			return
		}
		for _, w := range f.watchers {
			if !w.done && w.stream == stream {
				w.progress++
			}
		}
	})
	return nil
}
