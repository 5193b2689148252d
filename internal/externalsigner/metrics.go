package externalsigner

import (
	"context"
	"errors"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// metrics have the names and texts of kube-apiserver's, which are in k8s.io/kubernetes and not in the library.
type metrics struct {
	FetchSuccess, FetchData *k8smetrics.GaugeVec
	Fetches, Signs          *k8smetrics.CounterVec
	Duration                *k8smetrics.HistogramVec
}

const namespace, subsystem = "apiserver", "externaljwt"

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *metrics {
	gauge := func(name, help string) *k8smetrics.GaugeVec {
		return k8smetrics.NewGaugeVec(&k8smetrics.GaugeOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: k8smetrics.ALPHA}, nil)
	}
	counter := func(name, help string) *k8smetrics.CounterVec {
		return k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{Namespace: namespace, Subsystem: subsystem, Name: name, Help: help, StabilityLevel: k8smetrics.ALPHA}, []string{"code"})
	}
	return collectors.Register(&metrics{
		FetchSuccess: gauge("fetch_keys_success_timestamp", "Unix Timestamp in seconds of the last successful FetchKeys request"),
		FetchData:    gauge("fetch_keys_data_timestamp", "Unix Timestamp in seconds of the last successful FetchKeys data_timestamp value returned by the external signer"),
		Fetches:      counter("fetch_keys_request_total", "Total attempts at syncing supported JWKs"),
		Signs:        counter("sign_request_total", "Total attempts at signing JWT"),
		Duration: k8smetrics.NewHistogramVec(&k8smetrics.HistogramOpts{
			Namespace: namespace, Subsystem: subsystem, Name: "request_duration_seconds", StabilityLevel: k8smetrics.ALPHA,
			Help:    "Request duration and time for calls to external-jwt-signer",
			Buckets: []float64{.001, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"method", "code"}),
	})
})

// RegisterMetrics makes the metrics visible in a server without an external signer, as in kube-apiserver.
func RegisterMetrics() { registered() }

func (m *metrics) countFetch(err error) {
	m.Fetches.WithLabelValues(code(err)).Inc()
	if err == nil {
		m.FetchSuccess.WithLabelValues().SetToCurrentTime()
	}
}

func (m *metrics) setDataTimestamp(at time.Time) {
	m.FetchData.WithLabelValues().Set(float64(at.UnixNano()) / float64(time.Second))
}

func (m *metrics) countSign(err error) { m.Signs.WithLabelValues(code(err)).Inc() }

// measure measures every call.
func (m *metrics) measure(ctx context.Context, method string, request, reply any, connection *grpc.ClientConn, invoke grpc.UnaryInvoker, options ...grpc.CallOption) error {
	start := time.Now()
	err := invoke(ctx, method, request, reply, connection, options...)
	m.Duration.WithLabelValues(method, code(err)).Observe(time.Since(start).Seconds())
	return err
}

// code is the gRPC code of an error, or says that the error came about here.
func code(err error) string {
	var known interface{ GRPCStatus() *status.Status }
	switch {
	case err == nil:
		return codes.OK.String()
	case errors.As(err, &known):
		return known.GRPCStatus().Code().String()
	}
	return "unknown-non-grpc"
}
