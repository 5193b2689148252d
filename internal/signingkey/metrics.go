package signingkey

import (
	"sync"
	"time"

	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/api/mintmark/v1alpha1"
	"github.com/mintmark/mintmark/internal/collectors"
)

// ownMetrics tell of the keys of the process.
type ownMetrics struct {
	Keys       *k8smetrics.GaugeVec
	Age        *k8smetrics.GaugeVec
	NextChange *k8smetrics.Gauge
	Signed     *k8smetrics.CounterVec
	// FilesFailing and FileReloads are about keys in files.
	FilesFailing *k8smetrics.Gauge
	FileReloads  *k8smetrics.Counter
}

var metrics = ownMetrics{
	Keys: k8smetrics.NewGaugeVec(&k8smetrics.GaugeOpts{
		Namespace: "mintmark", Name: "signing_keys", StabilityLevel: k8smetrics.ALPHA,
		Help: "Managed signing keys by state: prepared, active, retired or gone.",
	}, []string{"state"}),
	Age: k8smetrics.NewGaugeVec(&k8smetrics.GaugeOpts{
		Namespace: "mintmark", Name: "signing_key_age_seconds", StabilityLevel: k8smetrics.ALPHA,
		Help: "Since when the managed key that is active signs with its algorithm. It is measured about every ten seconds.",
	}, []string{"algorithm"}),
	NextChange: k8smetrics.NewGauge(&k8smetrics.GaugeOpts{
		Namespace: "mintmark", Name: "signing_key_next_change_seconds", StabilityLevel: k8smetrics.ALPHA,
		Help: "In how many seconds the state of a managed key changes next; 0 if no change is planned. It is measured about every ten seconds.",
	}),
	Signed: k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
		Namespace: "mintmark", Name: "signing_key_tokens_total", StabilityLevel: k8smetrics.ALPHA,
		Help: "Tokens that this process has signed with a key that is in use.",
	}, []string{"key_id"}),
	FilesFailing: k8smetrics.NewGauge(&k8smetrics.GaugeOpts{
		Namespace: "mintmark", Subsystem: "signing_key_files", Name: "failing", StabilityLevel: k8smetrics.ALPHA,
		Help: "1 while the files of signing keys can't be used as they are, and the keys that were read before hold on; else 0.",
	}),
	FileReloads: k8smetrics.NewCounter(&k8smetrics.CounterOpts{
		Namespace: "mintmark", Subsystem: "signing_key_files", Name: "reloads_total", StabilityLevel: k8smetrics.ALPHA,
		Help: "How often the files of signing keys were read anew because they had changed.",
	}),
}

// registerMetrics makes the metrics visible; the registry is the process's.
var registerMetrics = sync.OnceFunc(func() { collectors.Register(&metrics) })

// measureEvery is how often ages are measured.
const measureEvery = 10 * time.Second

// states are the values of the label, by state.
var states = map[v1alpha1.SigningKeyState]string{
	v1alpha1.SigningKeyPrepared: "prepared", v1alpha1.SigningKeyActive: "active",
	v1alpha1.SigningKeyRetired: "retired", v1alpha1.SigningKeyGone: "gone",
}

// note measures the keys.
func (m *ownMetrics) note(schedule *Schedule, now time.Time) {
	count, age := map[v1alpha1.SigningKeyState]int{}, map[string]time.Duration{}
	for i := range schedule.Keys {
		l := &schedule.Keys[i]
		count[l.State]++
		if l.State == v1alpha1.SigningKeyActive {
			age[l.Key.Spec.Algorithm] = now.Sub(l.SigningSince)
		}
	}
	for state, label := range states {
		m.Keys.WithLabelValues(label).Set(float64(count[state]))
	}
	for _, algorithm := range signingAlgorithms {
		if since, ok := age[algorithm]; ok {
			m.Age.WithLabelValues(algorithm).Set(since.Seconds())
		} else {
			m.Age.DeleteLabelValues(algorithm)
		}
	}
	next := 0.0
	if !schedule.Next.IsZero() {
		next = schedule.Next.Sub(now).Seconds()
	}
	m.NextChange.Set(next)
}
