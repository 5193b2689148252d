package fastpath_test

import (
	"context"
	"net"
	"slices"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	collectorv1 "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	tracev1 "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/grpc"
)

// collector takes the spans that servers send it.
type collector struct {
	collectorv1.UnimplementedTraceServiceServer
	flag string

	mu    sync.Mutex
	spans []*tracev1.Span
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	c := &collector{flag: "--tracing-config-file=" + write(t, "tracing.yaml",
		"apiVersion: apiserver.config.k8s.io/v1\nkind: TracingConfiguration\nsamplingRatePerMillion: 1000000\nendpoint: "+listener.Addr().String()+"\n")}
	server := grpc.NewServer()
	collectorv1.RegisterTraceServiceServer(server, c)
	go func() { _ = server.Serve(listener) }() // until it is stopped
	t.Cleanup(server.Stop)
	return c
}

func (c *collector) Export(_ context.Context, r *collectorv1.ExportTraceServiceRequest) (*collectorv1.ExportTraceServiceResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, resource := range r.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			c.spans = append(c.spans, scope.GetSpans()...)
		}
	}
	return &collectorv1.ExportTraceServiceResponse{}, nil
}

// described is what a span says, but for what must differ: times, ids, addresses and sizes of fresh tokens.
type described struct {
	Name       string
	Kind       string
	Status     string
	Attributes map[string]string
}

// of returns the spans of servers for requests with an audit id.
func (c *collector) of(id string) []described {
	c.mu.Lock()
	defer c.mu.Unlock()
	var found []described
	for _, span := range c.spans {
		d := described{Name: span.GetName(), Kind: span.GetKind().String(), Status: span.GetStatus().String(), Attributes: map[string]string{}}
		for _, attribute := range span.GetAttributes() {
			d.Attributes[attribute.GetKey()] = attribute.GetValue().String()
		}
		if span.GetKind() != tracev1.Span_SPAN_KIND_SERVER || d.Attributes["audit-id"] != `string_value:"`+id+`"` {
			continue
		}
		for _, name := range []string{"network.peer.port", "server.port", "client.port"} {
			delete(d.Attributes, name)
		}
		found = append(found, d)
	}
	return found
}

// TestSpans has both transports answer the same requests, each server with a collector of spans of its own.
func TestSpans(t *testing.T) {
	t.Parallel()
	spans := map[string]*collector{}
	s := map[string]*servers{}
	for _, side := range []string{"generic", "fast"} {
		spans[side] = newCollector(t)
		s[side] = start(t, []string{"all-token,all,all-uid,reviewers"}, spans[side].flag)
	}
	for _, request := range []struct {
		path string
		body func(*servers) string
	}{
		{reviewsPath, func(s *servers) string { return reviewOf(s.token) }},
		{requestPath, func(*servers) string { return tokenBody }},
	} {
		id := "traced" + request.path
		as(t, s["generic"].generic, "all-token").mustPost(t, 201, request.path, request.body(s["generic"]), "Audit-Id: "+id)
		as(t, s["fast"].fast, "all-token").mustPost(t, 201, request.path, request.body(s["fast"]), "Audit-Id: "+id)
		var generic, fast []described
		for len(generic) == 0 || len(fast) == 0 {
			generic, fast = spans["generic"].of(id), spans["fast"].of(id)
			if t.Context().Err() != nil {
				t.Fatal("no spans")
			}
		}
		if diff := cmp.Diff(generic, fast); diff != "" {
			t.Errorf("%s: generic chain -, fast path +:\n%s", request.path, diff)
		}
		names := []string{
			"POST /apis/authentication.k8s.io/v1/tokenreviews",
			"POST /api/v1/namespaces/{:namespace}/serviceaccounts/{:name}/token",
		}
		if len(fast) != 1 || len(fast[0].Attributes) < 5 || !slices.Contains(names, fast[0].Name) {
			t.Errorf("%+v", fast)
		}
	}
}
