package view

import (
	"context"
	"iter"
	"time"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
)

const (
	// pageSize is how many objects the first page has, and the least that a page has unless they are large. For every page
	// etcd counts all objects that are left, so that the time of many small pages grows with the square of the objects.
	pageSize = 2000
	// pageBytes is how large a page is to be, since it is in memory at once, and largestPage how many objects it has at most.
	pageBytes, largestPage = 16 << 20, 32_000
	// listTimeout bounds the reading of one page.
	listTimeout = 30 * time.Second
)

// streamer is a Store that can send a range in parts, which etcd does from version 3.7 on. The objects left are not counted for
// every part.
type streamer interface {
	GetStream(ctx context.Context, key string, options ...clientv3.OpOption) (clientv3.GetStreamChan, error)
}

// reader reads everything below a prefix as it is at one version.
type reader struct {
	store  Store
	prefix string
	// header is the store's answer: of the first page, or at the end of a stream.
	header *etcdserverpb.ResponseHeader
}

// parts are the objects in several parts, or an error, which ends them.
type parts = iter.Seq2[[]*mvccpb.KeyValue, error]

func (r *reader) read(ctx context.Context) parts {
	return func(yield func([]*mvccpb.KeyValue, error) bool) {
		stream, ok := r.store.(streamer)
		if !ok || !r.stream(ctx, stream, yield) {
			r.pages(ctx, yield)
		}
	}
}

// stream reads a stream. It reports false if the store can't send one.
func (r *reader) stream(ctx context.Context, store streamer, yield func([]*mvccpb.KeyValue, error) bool) bool {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	hung := time.AfterFunc(listTimeout, func() { cancel(context.DeadlineExceeded) })
	defer hung.Stop()
	answers, err := store.GetStream(ctx, r.prefix, clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.prefix)))
	if err != nil {
		return status.Code(err) != codes.Unimplemented && endWith(yield, err)
	}
	for answer := range answers {
		if err := answer.Err(); err != nil {
			return status.Code(err) != codes.Unimplemented && endWith(yield, err)
		}
		hung.Reset(listTimeout)
		if answer.Header != nil {
			r.header = answer.Header
		}
		if !yield(answer.Kvs, nil) {
			return true
		}
	}
	return r.header != nil || endWith(yield, errCut)
}

// pages reads one page after the other.
func (r *reader) pages(ctx context.Context, yield func([]*mvccpb.KeyValue, error) bool) {
	from, limit := r.prefix, int64(pageSize)
	var at []clientv3.OpOption
	for {
		options := append(at, clientv3.WithRange(clientv3.GetPrefixRangeEnd(r.prefix)), clientv3.WithLimit(limit))
		page, err := get(ctx, r.store, from, listTimeout, options...)
		if err != nil {
			yield(nil, err)
			return
		}
		if r.header == nil {
			r.header, at = page.Header, []clientv3.OpOption{clientv3.WithRev(page.Header.Revision)}
		}
		if !yield(page.Kvs, nil) || !page.More || len(page.Kvs) == 0 {
			return
		}
		from, limit = string(page.Kvs[len(page.Kvs)-1].Key)+"\x00", nextLimit(page.Kvs)
	}
}

// nextLimit returns how many objects the page after one has.
func nextLimit(kvs []*mvccpb.KeyValue) int64 {
	size := 0
	for _, kv := range kvs {
		size += len(kv.Key) + len(kv.Value)
	}
	return int64(min(max(pageBytes*len(kvs)/max(size, 1), 1), largestPage))
}

// endWith ends a sequence with an error. It returns true.
func endWith(yield func([]*mvccpb.KeyValue, error) bool, err error) bool {
	yield(nil, err)
	return true
}
