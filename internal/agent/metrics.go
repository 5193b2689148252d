package agent

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// agentMetrics are the collectors of this package. docs/machines.md has them.
type agentMetrics struct {
	CertificateExpiration *metrics.Gauge
	CertificateRenewals   *metrics.CounterVec
	LastAnswer            *metrics.Gauge
	Refused               *metrics.Gauge
	ClockOffset           *metrics.Gauge
}

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *agentMetrics {
	opts := func(name, help string) *metrics.GaugeOpts {
		return &metrics.GaugeOpts{Namespace: "mintmark", Subsystem: "agent", Name: name, StabilityLevel: metrics.ALPHA, Help: help}
	}
	return collectors.Register(&agentMetrics{
		CertificateExpiration: metrics.NewGauge(opts("certificate_expiration_timestamp_seconds", "Unix time at which the client certificate of the node ends, 0 before it has joined.")),
		CertificateRenewals: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "agent", Name: "certificate_renewals_total", StabilityLevel: metrics.ALPHA,
			Help: "Renewals of the client certificate, by result: success, failure.",
		}, []string{"result"}),
		LastAnswer:  metrics.NewGauge(opts("server_last_answer_timestamp_seconds", "Unix time of the server's last answer, 0 before the first.")),
		Refused:     metrics.NewGauge(opts("refused", "1 while the server refuses the client certificate: the node was removed, or the certificate revoked.")),
		ClockOffset: metrics.NewGauge(opts("clock_offset_seconds", "How far the clock of this machine is ahead of the server's, 0 within a minute.")),
	})
})

// certificateRenewed counts a renewal.
func (m *agentMetrics) certificateRenewed(err error) {
	result := "success"
	if err != nil {
		result = "failure"
	}
	m.CertificateRenewals.WithLabelValues(result).Inc()
}

// measure sets the gauges.
func (m *agentMetrics) measure(c *connection) {
	if current := c.current(); current != nil {
		m.CertificateExpiration.Set(float64(current.Leaf.NotAfter.Unix()))
	}
	status := c.status()
	if !status.answered.IsZero() {
		m.LastAnswer.Set(float64(status.answered.UnixMilli()) / 1000)
	}
	refused := 0.0
	if status.refused {
		refused = 1
	}
	m.Refused.Set(refused)
	m.ClockOffset.Set(status.skew.Seconds())
}
