package agent

import (
	"context"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/programpages"
)

const (
	// statusEvery is how often systemd is told of changes that come without an event, such as a token that ends.
	statusEvery = time.Minute
	// releaseEvery is how often the memory that is needed no more is given back. A renewed token or certificate brings in tens of
	// megabytes of the program's file, and a release takes less than a millisecond.
	releaseEvery = time.Minute
)

// follow tells systemd (sd_notify) when the first files are there, and how the agent is, until the context ends.
func (a *Agent) follow(ctx context.Context) {
	watchdog, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		klog.FromContext(ctx).Error(err, "systemd's watchdog can't be used")
	}
	every := statusEvery
	if watchdog > 0 {
		every = min(every, watchdog/2)
	}
	written, told := a.keeper.Written(), ""
	released := a.clock.Now()
	for {
		if status := "STATUS=" + oneLine(a.health().summary()); status != told {
			notify(ctx, status)
			told = status
		}
		if watchdog > 0 {
			notify(ctx, daemon.SdNotifyWatchdog)
		}
		timer := a.clock.NewTimer(every)
		select {
		case <-ctx.Done():
			timer.Stop()
			notify(ctx, daemon.SdNotifyStopping)
			return
		case <-written:
			klog.FromContext(ctx).Info("The files of all pods are there", "node", a.node)
			notify(ctx, daemon.SdNotifyReady)
			written = nil
			programpages.Release()
		case <-a.changed:
		case <-timer.C():
		}
		timer.Stop()
		if a.clock.Since(released) >= releaseEvery {
			programpages.Release()
			released = a.clock.Now()
		}
	}
}

// notify tells systemd, if it runs this process and wants to know.
func notify(ctx context.Context, state string) {
	if _, err := daemon.SdNotify(false, state); err != nil {
		klog.FromContext(ctx).V(1).Info("systemd can't be told", "reason", err.Error())
	}
}

// summary is the health in a few words that stay the same while nothing happens.
func (h health) summary() string {
	if h.problem != "" {
		return "not ready: " + h.problem
	}
	return "the files of all pods are good"
}
