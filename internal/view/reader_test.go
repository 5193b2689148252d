package view

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"go.etcd.io/etcd/api/v3/etcdserverpb"
	"go.etcd.io/etcd/api/v3/mvccpb"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc"
)

// olderStore is an etcd server from before version 3.7, which sends no streams.
type olderStore struct {
	etcdserverpb.UnimplementedKVServer
	keys []string
	size int // of each value
}

func (s *olderStore) Range(_ context.Context, r *etcdserverpb.RangeRequest) (*etcdserverpb.RangeResponse, error) {
	answer := &etcdserverpb.RangeResponse{Header: &etcdserverpb.ResponseHeader{Revision: 7}}
	from, _ := slices.BinarySearch(s.keys, string(r.Key))
	for _, key := range s.keys[from:] {
		if answer.More = len(answer.Kvs) == int(r.Limit); answer.More {
			break
		}
		answer.Kvs = append(answer.Kvs, &mvccpb.KeyValue{Key: []byte(key), Value: make([]byte, s.size), ModRevision: 7})
	}
	if len(answer.Kvs) > pageSize && r.Revision != 7 {
		return nil, errors.New("a page after the first is not of the same version")
	}
	return answer, nil
}

// cutStore is a newer one that breaks off after the first part.
type cutStore struct {
	etcdserverpb.UnimplementedKVServer
}

func (cutStore) RangeStream(_ *etcdserverpb.RangeRequest, to grpc.ServerStreamingServer[etcdserverpb.RangeStreamResponse]) error {
	return to.Send(&etcdserverpb.RangeStreamResponse{RangeResponse: &etcdserverpb.RangeResponse{Kvs: []*mvccpb.KeyValue{{Key: []byte("/a/0")}}}})
}

// clientOf returns a client of a server.
func clientOf(t *testing.T, kv etcdserverpb.KVServer) *clientv3.Client {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	etcdserverpb.RegisterKVServer(server, kv)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	client, err := clientv3.New(clientv3.Config{Endpoints: []string{listener.Addr().String()}, Logger: zap.NewNop()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close() })
	return client
}

// TestOlderStore: from a store that sends no streams, all is read in pages of a bounded size.
func TestOlderStore(t *testing.T) {
	t.Parallel()
	store := &olderStore{size: 300}
	for i := range 100_000 {
		store.keys = append(store.keys, fmt.Sprintf("/a/%06d", i))
	}
	all, pages, seen := &reader{store: clientOf(t, store), prefix: "/a/"}, 0, 0
	for kvs, err := range all.read(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if size := len(kvs) * 300; size > pageBytes {
			t.Errorf("a page of %d bytes", size)
		}
		for _, kv := range kvs {
			if string(kv.Key) != store.keys[seen] {
				t.Fatalf("%s instead of %s", kv.Key, store.keys[seen])
			}
			seen++
		}
		pages++
	}
	if seen != len(store.keys) || all.header.GetRevision() != 7 || pages > 5 {
		t.Errorf("%d objects in %d pages, at %v", seen, pages, all.header)
	}
}

// TestCutStream: a stream that ends without its last part is an error, since objects are missing.
func TestCutStream(t *testing.T) {
	t.Parallel()
	var failure error
	for _, err := range (&reader{store: clientOf(t, cutStore{}), prefix: "/a/"}).read(t.Context()) {
		failure = errors.Join(failure, err)
	}
	if !errors.Is(failure, errCut) {
		t.Errorf("read with the error %v", failure)
	}
}

func TestNextLimit(t *testing.T) {
	t.Parallel()
	for size, want := range map[int]int64{0: largestPage, 100: largestPage, 16 << 10: 1023, 64 << 20: 1} {
		kvs := []*mvccpb.KeyValue{{Key: []byte("a"), Value: []byte(strings.Repeat("v", size))}}
		if got := nextLimit(kvs); got != want {
			t.Errorf("after objects of %d bytes: %d, want %d", size, got, want)
		}
	}
}
