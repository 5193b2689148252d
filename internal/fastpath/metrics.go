package fastpath

import (
	"strings"
	"sync"
	"time"

	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	handlermetrics "k8s.io/apiserver/pkg/endpoints/handlers/metrics"
	endpointmetrics "k8s.io/apiserver/pkg/endpoints/metrics"
	k8smetrics "k8s.io/component-base/metrics"
	"k8s.io/component-base/metrics/legacyregistry"

	"github.com/mintmark/mintmark/internal/collectors"
)

// metrics are the series that the generic chain feeds for a request that succeeds. They are in the same collectors, so a
// dashboard doesn't depend on the way that a request went.
type metrics struct {
	// of makes the series of a route.
	of func(*route) series

	authenticated, authorized             k8smetrics.ObserverMetric // authentication_duration_seconds and kin
	authenticationFilter, authorizeFilter k8smetrics.ObserverMetric
	attempts, allowed                     k8smetrics.CounterMetric
	users                                 map[string]k8smetrics.CounterMetric

	answered, handedOver k8smetrics.CounterMetric
}

// requestsTotal says which way requests went that came in the shape for the fast path. The others are what apiserver_request_total
// counts beyond these.
var requestsTotal = k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
	Namespace: "mintmark", Subsystem: "fastpath", Name: "requests_total", StabilityLevel: k8smetrics.ALPHA,
	Help: "Token reviews and token requests of the common shape: those that were answered on the fast path, and those that were handed over to the library's chain of handlers, since they are to be refused or need something else.",
}, []string{"outcome"})

// registerTaken makes the counter visible; the registry is the process's.
var registerTaken = sync.OnceFunc(func() { legacyregistry.MustRegister(requestsTotal) })

// series is what is measured of a route.
type series struct {
	total               k8smetrics.CounterMetric
	duration, sli, body k8smetrics.ObserverMetric
}

func newMetrics() *metrics {
	// The library's collectors must be there first: it insists on registering them itself.
	genericapifilters.RegisterMetrics()
	endpointmetrics.Register()
	registerTaken()
	const apiserver = endpointmetrics.APIServerComponent
	total := counters(apiserver, "request_total",
		"Counter of apiserver requests broken out for each verb, dry run value, group, version, resource, scope, component, and HTTP response code.",
		k8smetrics.STABLE, "verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component", "code")
	duration := histograms(apiserver, "request_duration_seconds",
		"Response latency distribution in seconds for each verb, dry run value, group, version, resource, subresource, scope and component.",
		k8smetrics.STABLE, "verb", "dry_run", "group", "version", "resource", "subresource", "scope", "component")
	sli := histograms(apiserver, "request_sli_duration_seconds",
		"Response latency distribution (not counting webhook duration and priority & fairness queue wait times) in seconds for each verb, group, version, resource, subresource, scope and component.",
		k8smetrics.ALPHA, "verb", "group", "version", "resource", "subresource", "scope", "component")
	filter := histograms(apiserver, "request_filter_duration_seconds",
		"Request filter latency distribution in seconds, for each filter type", k8smetrics.ALPHA, "filter")
	of := func(t *route) series {
		gvr := t.resource
		return series{
			total:    total.WithLabelValues("POST", "", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver, "201"),
			duration: duration.WithLabelValues("POST", "", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver),
			sli:      sli.WithLabelValues("POST", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver),
			body:     handlermetrics.RequestBodySizes.WithLabelValues(gvr.Group, gvr.Resource, string(handlermetrics.Create)),
		}
	}
	m := &metrics{
		of:                   of,
		authenticationFilter: filter.WithLabelValues("authentication"),
		authorizeFilter:      filter.WithLabelValues("authorization"),
		attempts: counters("", "authentication_attempts", "Counter of authenticated attempts.",
			k8smetrics.ALPHA, "result").WithLabelValues("success"),
		allowed: counters("", "authorization_attempts_total",
			"Counter of authorization attempts broken down by result. It can be either 'allowed', 'denied', 'no-opinion' or 'error'.",
			k8smetrics.ALPHA, "result").WithLabelValues("allowed"),
		authenticated: histograms("", "authentication_duration_seconds", "Authentication duration in seconds broken out by result.",
			k8smetrics.ALPHA, "result").WithLabelValues("success"),
		authorized: histograms("", "authorization_duration_seconds", "Authorization duration in seconds broken out by result.",
			k8smetrics.ALPHA, "result").WithLabelValues("allowed"),
		users:      map[string]k8smetrics.CounterMetric{},
		answered:   requestsTotal.WithLabelValues("answered"),
		handedOver: requestsTotal.WithLabelValues("handed-over"),
	}
	users := counters("", "authenticated_user_requests", "Counter of authenticated requests broken out by username.", k8smetrics.ALPHA, "username")
	for _, name := range append(wellKnownUsers, otherUser, emailUser) {
		m.users[name] = users.WithLabelValues(name)
	}
	return m
}

// Users are counted by these names only: a label never holds a name that a caller chose.
var wellKnownUsers = []string{"admin", "client", "kube_proxy", "kubelet", "system:serviceaccount:kube-system:default"}

const otherUser, emailUser = "other", "email_id"

func (m *metrics) countUser(name string) {
	counter, ok := m.users[name]
	switch {
	case ok && name != otherUser && name != emailUser:
	case strings.Contains(name, "@"):
		counter = m.users[emailUser]
	default:
		counter = m.users[otherUser]
	}
	counter.Inc()
}

// measure counts a request that has been answered.
func (h *Handler) measure(c *call) bool {
	m := h.metrics
	s := &c.route.series
	// The time of a filter and the time of the object that it asks are one here.
	authenticating, authorizing := c.caller.at.Sub(c.arrival.at).Seconds(), c.decision.at.Sub(c.caller.at).Seconds()
	m.countUser(c.decision.attributes.User.GetName())
	m.attempts.Inc()
	m.authenticated.Observe(authenticating)
	m.authenticationFilter.Observe(authenticating)
	m.allowed.Inc()
	m.authorized.Observe(authorizing)
	m.authorizeFilter.Observe(authorizing)
	elapsed := time.Since(c.arrival.at).Seconds()
	s.total.Inc()
	s.duration.Observe(elapsed)
	s.sli.Observe(elapsed)
	s.body.Observe(float64(len(c.payload.body.read)))
	return true
}

func counters(subsystem, name, help string, stability k8smetrics.StabilityLevel, labels ...string) *k8smetrics.CounterVec {
	return collectors.Counters(&k8smetrics.CounterOpts{Subsystem: subsystem, Name: name, Help: help, StabilityLevel: stability}, labels...)
}

func histograms(subsystem, name, help string, stability k8smetrics.StabilityLevel, labels ...string) *k8smetrics.HistogramVec {
	return collectors.Histograms(&k8smetrics.HistogramOpts{Subsystem: subsystem, Name: name, Help: help, StabilityLevel: stability}, labels...)
}
