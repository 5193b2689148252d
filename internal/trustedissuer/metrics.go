package trustedissuer

import (
	"sync"

	"k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
)

// ownMetrics are the collectors of this package. No label has an issuer: there may be thousands.
type ownMetrics struct {
	Issuers  *metrics.Gauge
	Reads    *metrics.CounterVec
	Verdicts *metrics.CounterVec
	Renewals *metrics.Counter
}

// series are the collectors, with those that each token counts into.
type series struct {
	*ownMetrics
	hit, miss metrics.CounterMetric
}

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *series {
	own := collectors.Register(&ownMetrics{
		Issuers: metrics.NewGauge(&metrics.GaugeOpts{
			Namespace: "mintmark", Name: "trusted_issuers", StabilityLevel: metrics.ALPHA,
			Help: "TrustedIssuers whose tokens this process accepts.",
		}),
		Reads: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "mintmark", Name: "trusted_issuer_key_reads_total", StabilityLevel: metrics.ALPHA,
			Help: "Reads of the keys of trusted issuers, by result: success or failure.",
		}, []string{"result"}),
		Verdicts: metrics.NewCounterVec(&metrics.CounterOpts{
			Namespace: "mintmark", Name: "trusted_issuer_verdicts_total", StabilityLevel: metrics.ALPHA,
			Help: "Tokens of trusted issuers that were looked at, by whether a verdict was remembered: hit or miss.",
		}, []string{"memory"}),
		Renewals: metrics.NewCounter(&metrics.CounterOpts{
			Namespace: "mintmark", Name: "trusted_issuer_lookups_total", StabilityLevel: metrics.ALPHA,
			Help: "Reads of the store that proved the view of trusted issuers current, before tokens of unknown issuers were refused.",
		}),
	})
	return &series{own, own.Verdicts.WithLabelValues("hit"), own.Verdicts.WithLabelValues("miss")}
})
