package controller

import (
	"context"

	"k8s.io/klog/v2"
)

// bodyVerbosity is the verbosity from which client-go logs the bodies of requests and responses. They hold tokens.
const bodyVerbosity = 8

// WithoutBodies returns a context whose logger is silent from bodyVerbosity on.
func WithoutBodies(ctx context.Context) context.Context {
	logger := klog.FromContext(ctx)
	if logger.GetSink() == nil {
		return ctx
	}
	return klog.NewContext(ctx, logger.WithSink(quiet{logger.GetSink()}))
}

type quiet struct{ klog.LogSink }

func (q quiet) Enabled(level int) bool {
	return level < bodyVerbosity && q.LogSink.Enabled(level)
}

func (q quiet) WithName(name string) klog.LogSink { return quiet{q.LogSink.WithName(name)} }

func (q quiet) WithValues(keysAndValues ...any) klog.LogSink {
	return quiet{q.LogSink.WithValues(keysAndValues...)}
}

func (q quiet) WithCallDepth(depth int) klog.LogSink {
	if sink, ok := q.LogSink.(interface {
		WithCallDepth(depth int) klog.LogSink
	}); ok {
		return quiet{sink.WithCallDepth(depth)}
	}
	return q
}
