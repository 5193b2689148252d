package apiserver_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/mem"
	"google.golang.org/grpc/metadata"
)

// watchMethod is where etcd tells of changes.
const watchMethod = "/etcdserverpb.Watch/Watch"

// slowWatch stands between a server and its etcd and passes everything on, but what watches bring only after a while:
// otherwise they are often faster than the answer to the write, and nobody sees who relies on them. It returns the
// address where it does so.
func slowWatch(t *testing.T, endpoint string, lag time.Duration) string {
	t.Helper()
	return between(t, endpoint, lag, func([]byte) {})
}

// listed are requests for all keys of a resource: they name the key behind the last one.
var listed = regexp.MustCompile(`/mintmark/[a-z./]+0`)

// slowList stands between a server and its etcd, too, and keeps lists back until it is told to release them.
func slowList(t *testing.T, endpoint string) (address string, release func()) {
	t.Helper()
	released := make(chan struct{})
	release = sync.OnceFunc(func() { close(released) })
	address = between(t, endpoint, 0, func(message []byte) {
		if listed.Match(message) {
			<-released
		}
	})
	t.Cleanup(release)
	return address, release
}

// between passes on what a server and its etcd send each other: requests after sent has returned, and what watches bring
// when it has been on its way for that long. It returns the address where it does so.
func between(t *testing.T, endpoint string, lag time.Duration, sent func(message []byte)) string {
	t.Helper()
	behind, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithDefaultCallOptions(grpc.ForceCodecV2(asItIs{}), grpc.MaxCallRecvMsgSize(1<<30)))
	if err != nil {
		t.Fatal(err)
	}
	proxy := grpc.NewServer(grpc.ForceServerCodecV2(asItIs{}), grpc.MaxRecvMsgSize(1<<30),
		grpc.UnknownServiceHandler(func(_ any, client grpc.ServerStream) error {
			method, _ := grpc.MethodFromServerStream(client)
			header, _ := metadata.FromIncomingContext(client.Context())
			server, err := behind.NewStream(metadata.NewOutgoingContext(client.Context(), header),
				&grpc.StreamDesc{ServerStreams: true, ClientStreams: true}, method)
			if err != nil {
				return err
			}
			go forward(client, server, sent)
			if method == watchMethod {
				return backward(server, client, lag)
			}
			return backward(server, client, 0)
		}))
	dir, err := os.MkdirTemp("", "slow") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- proxy.Serve(listener) }()
	t.Cleanup(func() {
		proxy.Stop()
		if err := errors.Join(<-done, behind.Close(), os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return "unix://" + listener.Addr().String()
}

// forward passes on what a client sends, each message after sent has returned.
func forward(client grpc.ServerStream, server grpc.ClientStream, sent func([]byte)) {
	for {
		var message []byte
		if client.RecvMsg(&message) != nil {
			_ = server.CloseSend()
			return
		}
		sent(message)
		if server.SendMsg(&message) != nil {
			return // what is wrong shows where the answers are read
		}
	}
}

// backward passes on what a server answers, each message when it has been on its way for that long.
func backward(server grpc.ClientStream, client grpc.ServerStream, lag time.Duration) error {
	type delayed struct {
		message []byte
		due     time.Time
	}
	queue := make(chan delayed, 10_000)
	end := make(chan error, 1)
	go func() {
		defer close(queue)
		for {
			var message []byte
			if err := server.RecvMsg(&message); err != nil {
				end <- err
				return
			}
			queue <- delayed{message, time.Now().Add(lag)}
		}
	}()
	for next := range queue {
		select {
		case <-time.After(time.Until(next.due)):
		case <-client.Context().Done():
		}
		if err := client.SendMsg(&next.message); err != nil {
			return err
		}
	}
	if err := <-end; !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// asItIs leaves messages as they are.
type asItIs struct{}

func (asItIs) Marshal(v any) (mem.BufferSlice, error) {
	message, ok := v.(*[]byte)
	if !ok {
		return nil, fmt.Errorf("a %T to send", v)
	}
	return mem.BufferSlice{mem.SliceBuffer(*message)}, nil
}

func (asItIs) Unmarshal(data mem.BufferSlice, v any) error {
	message, ok := v.(*[]byte)
	if !ok {
		return fmt.Errorf("a %T to receive", v)
	}
	*message = data.Materialize()
	return nil
}

func (asItIs) Name() string { return "proto" }
