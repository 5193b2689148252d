package externaljwt

import (
	"path"
	"sync"

	"google.golang.org/grpc/status"
	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// metrics are the collectors of the service.
type metrics struct{ Requests *k8smetrics.CounterVec }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *metrics {
	return collectors.Register(&metrics{
		Requests: k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "external_jwt_signer", Name: "requests_total", StabilityLevel: k8smetrics.ALPHA,
			Help: "Calls of the external JWT signer by method (Sign, FetchKeys, Metadata) and gRPC code. Sign with the code OK is a signature.",
		}, []string{"method", "code"}),
	})
})

// RegisterMetrics makes the metrics visible in a server without the service.
func RegisterMetrics() { registered() }

func (m *metrics) count(fullMethod string, err error) {
	m.Requests.WithLabelValues(path.Base(fullMethod), status.Code(err).String()).Inc()
}
