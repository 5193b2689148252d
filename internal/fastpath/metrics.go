package fastpath

import (
	"strings"
	"sync"
	"time"

	"k8s.io/apiserver/pkg/authorization/authorizer"
	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	handlermetrics "k8s.io/apiserver/pkg/endpoints/handlers/metrics"
	endpointmetrics "k8s.io/apiserver/pkg/endpoints/metrics"
	k8smetrics "k8s.io/component-base/metrics"

	"github.com/mintmark/mintmark/internal/collectors"
	"github.com/mintmark/mintmark/internal/tokenreview"
)

// metrics are the series that the generic chain feeds for such a request. They are in the same collectors, so a
// dashboard doesn't depend on the way that a request went.
type metrics struct {
	// of makes the series of a route.
	of func(*route) series

	authenticated, unknown, authorized    k8smetrics.ObserverMetric // authentication_duration_seconds and kin
	authenticationFilter, authorizeFilter k8smetrics.ObserverMetric
	attempts, failed, allowed             k8smetrics.CounterMetric
	refusals                              map[authorizer.Decision]refusals
	users                                 map[string]k8smetrics.CounterMetric

	answered, handedOver k8smetrics.CounterMetric
}

// ownMetrics are the collectors that this package adds to the library's.
type ownMetrics struct{ Requests *k8smetrics.CounterVec }

// registered returns the collectors, of which the process has one set.
var registered = sync.OnceValue(func() *ownMetrics {
	return collectors.Register(&ownMetrics{
		Requests: k8smetrics.NewCounterVec(&k8smetrics.CounterOpts{
			Namespace: "mintmark", Subsystem: "fastpath", Name: "requests_total", StabilityLevel: k8smetrics.ALPHA,
			Help: "Token reviews and token requests of the common shape: those that were answered on the fast path, 401, 403 and 429 among the answers, and those that were handed over to the library's chain of handlers, since they are to be refused for another reason or need something else.",
		}, []string{"outcome"}),
	})
})

// refusals are the series of authorizations with one result that is no permission.
type refusals struct {
	total    k8smetrics.CounterMetric
	duration k8smetrics.ObserverMetric
}

// series is what is measured of a route.
type series struct {
	total               k8smetrics.CounterMetric
	duration, sli, body k8smetrics.ObserverMetric
}

func newMetrics() *metrics {
	// The library's collectors must be there first: it insists on registering them itself.
	genericapifilters.RegisterMetrics()
	endpointmetrics.Register()
	library, own := collectors.Lookup(), registered()
	const apiserver = endpointmetrics.APIServerComponent
	total := library.Counters("apiserver_request_total")
	duration := library.Histograms("apiserver_request_duration_seconds")
	sli := library.Histograms("apiserver_request_sli_duration_seconds")
	filter := library.Histograms("apiserver_request_filter_duration_seconds")
	of := func(t *route) series {
		gvr := t.resource
		return series{
			total:    total.WithLabelValues("POST", "", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver, "201"),
			duration: duration.WithLabelValues("POST", "", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver),
			sli:      sli.WithLabelValues("POST", gvr.Group, gvr.Version, gvr.Resource, t.subresource, "resource", apiserver),
			body:     handlermetrics.RequestBodySizes.WithLabelValues(gvr.Group, gvr.Resource, string(handlermetrics.Create)),
		}
	}
	attempted, asked := library.Counters("authorization_attempts_total"), library.Histograms("authorization_duration_seconds")
	tried, known := library.Counters("authentication_attempts"), library.Histograms("authentication_duration_seconds")
	m := &metrics{
		of: of,
		refusals: map[authorizer.Decision]refusals{
			authorizer.DecisionDeny:      {attempted.WithLabelValues("denied"), asked.WithLabelValues("denied")},
			authorizer.DecisionNoOpinion: {attempted.WithLabelValues("no-opinion"), asked.WithLabelValues("no-opinion")},
		},
		authenticationFilter: filter.WithLabelValues("authentication"),
		authorizeFilter:      filter.WithLabelValues("authorization"),
		attempts:             tried.WithLabelValues("success"),
		failed:               tried.WithLabelValues("error"),
		allowed:              attempted.WithLabelValues("allowed"),
		authenticated:        known.WithLabelValues("success"),
		unknown:              known.WithLabelValues("error"),
		authorized:           asked.WithLabelValues("allowed"),
		users:                map[string]k8smetrics.CounterMetric{},
		answered:             own.Requests.WithLabelValues("answered"),
		handedOver:           own.Requests.WithLabelValues("handed-over"),
	}
	users := library.Counters("authenticated_user_requests")
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

// countCaller counts a caller who is known.
func (m *metrics) countCaller(c *call) {
	authenticating := c.caller.at.Sub(c.arrival.at).Seconds()
	m.countUser(c.decision.attributes.User.GetName())
	m.attempts.Inc()
	m.authenticated.Observe(authenticating)
	m.authenticationFilter.Observe(authenticating)
}

// countUnknown counts a caller whose token is refused.
func (m *metrics) countUnknown(c *call) {
	authenticating := c.caller.at.Sub(c.arrival.at).Seconds()
	m.failed.Inc()
	m.unknown.Observe(authenticating)
	m.authenticationFilter.Observe(authenticating)
}

// countRefused counts a request of a caller who may not make it.
func (m *metrics) countRefused(c *call, decided authorizer.Decision) {
	m.countCaller(c)
	m.refusals[decided].total.Inc()
	m.refusals[decided].duration.Observe(c.decision.at.Sub(c.caller.at).Seconds())
}

// measure counts a request that has been answered.
func (h *Handler) measure(c *call) bool {
	m := h.metrics
	s := &c.route.series
	m.countCaller(c)
	// The time of a filter and the time of the object that it asks are one here.
	authorizing := c.decision.at.Sub(c.caller.at).Seconds()
	m.allowed.Inc()
	m.authorized.Observe(authorizing)
	m.authorizeFilter.Observe(authorizing)
	elapsed := time.Since(c.arrival.at).Seconds()
	s.total.Inc()
	s.duration.Observe(elapsed)
	s.sli.Observe(elapsed)
	s.body.Observe(float64(len(c.payload.body.read)))
	tokenreview.CountAll(c.answer.results)
	if c.route.reviewer != nil {
		tokenreview.Count(c.answer.verdict.Reason)
	}
	return true
}
