package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	dto "github.com/prometheus/client_model/go"
	"k8s.io/component-base/metrics/legacyregistry"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

const (
	healthTimeout  = 10 * time.Second
	healthStopTime = time.Second
)

// serveHealth serves /livez, /readyz and /metrics until stop is called.
func (a *Agent) serveHealth(ctx context.Context) (stop func(), err error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", a.config.HealthAddress)
	if err != nil {
		return nil, fmt.Errorf("health and metrics can't be served; choose another address with --health-address, or none with --health-address=: %w", err)
	}
	server := &http.Server{Handler: a.healthHandler(), ReadTimeout: healthTimeout, WriteTimeout: healthTimeout, IdleTimeout: time.Minute}
	go func() {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			klog.FromContext(ctx).Error(err, "Health and metrics are served no more")
		}
	}()
	return func() {
		stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), healthStopTime)
		defer cancel()
		_ = server.Shutdown(stopping) // it ends with the process
	}, nil
}

func (a *Agent) healthHandler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /livez", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		h := a.health()
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if h.problem != "" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
		_, _ = io.WriteString(w, h.String())
	})
	metrics := promhttp.HandlerFor(prometheus.GathererFunc(gatherOwn), promhttp.HandlerOpts{})
	mux.HandleFunc("GET /metrics", func(w http.ResponseWriter, r *http.Request) {
		if c := a.connected(); c != nil {
			a.metrics.measure(c)
		}
		metrics.ServeHTTP(w, r)
	})
	return mux
}

// gatherOwn gathers the metrics of the agent and of its process. The program's other metrics are those of a server.
func gatherOwn() ([]*dto.MetricFamily, error) {
	all, err := legacyregistry.DefaultGatherer.Gather()
	own := all[:0]
	for _, family := range all {
		for _, prefix := range []string{"mintmark_agent_", "process_"} {
			if strings.HasPrefix(family.GetName(), prefix) {
				own = append(own, family)
			}
		}
	}
	return own, err
}

// health is how the agent is: why it is not ready, and the lines that tell the rest.
type health struct {
	problem string
	lines   []string
}

// String returns the text of /readyz.
func (h health) String() string {
	first := "ok"
	if h.problem != "" {
		first = "not ready: " + h.problem
	}
	return strings.Join(append([]string{first}, h.lines...), "\n") + "\n"
}

// health looks at everything that the agent depends on. While the server is away it stays ready for as long as the tokens are good.
func (a *Agent) health() health {
	a.mu.Lock()
	h, c, keeper := health{problem: a.phase}, a.connection, a.keeper
	a.mu.Unlock()
	now := a.clock.Now()
	if c == nil {
		return h
	}
	status := c.status()
	if current := c.current(); current != nil {
		dated := now.Add(-status.skew) // by the clock of the server
		h.lines = append(h.lines, fmt.Sprintf("node %s: its certificate is good for %s, until %s", a.node, left(current.Leaf.NotAfter, dated), current.Leaf.NotAfter.Format(time.RFC3339)))
		if ended(current, dated) {
			h.problem = "the certificate of the node has ended"
		}
	}
	h.lines = append(h.lines, "server "+c.server.String()+": "+status.text(now))
	if status.refused {
		h.problem = errRemoved.Error()
	}
	if keeper == nil {
		return h
	}
	volumes := keeper.Status()
	for i := range volumes {
		text, good := volumeHealth(&volumes[i], now)
		h.lines = append(h.lines, text)
		if !good && h.problem == "" {
			h.problem = text
		}
	}
	return h
}

// volumeHealth tells of a volume, and reports whether its files are there and good.
func volumeHealth(v *projectedvolume.VolumeStatus, now time.Time) (text string, good bool) {
	text = fmt.Sprintf("volume %s of pod %s/%s: ", v.Volume, v.Namespace, v.Pod)
	switch {
	case v.Written.IsZero():
		text += "not written yet"
	case v.Expired(now):
		text += "a token in it ended at " + v.GoodUntil.Format(time.RFC3339)
	case v.GoodUntil.IsZero():
		text, good = text+"good", true
	default:
		text, good = text+fmt.Sprintf("good for %s, until %s", left(v.GoodUntil, now), v.GoodUntil.Format(time.RFC3339)), true
	}
	if v.Err != nil {
		text += "; " + oneLine(v.Err.Error())
	}
	return text, good
}

func left(end, now time.Time) time.Duration { return end.Sub(now).Truncate(time.Second) }

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }
