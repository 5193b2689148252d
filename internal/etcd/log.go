package etcd

import (
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// newLogger passes etcd's warnings and errors on to the process's log; the server itself logs what a healthy member does.
// While quiet is set they are logged at level 4, since starting and stopping cause warnings that call for no action.
//
// Where etcd would end the process, failed is told why and the goroutine ends instead.
func newLogger(quiet *atomic.Bool, failed *failure) *zap.Logger {
	return zap.New(klogCore{LevelEnabler: zapcore.WarnLevel, quiet: quiet}, zap.WithFatalHook(failed), zap.WithPanicHook(failed))
}

// failure keeps the first reason for which etcd would have ended the process.
type failure struct {
	once   sync.Once
	reason chan error // of one element
}

func newFailure() *failure { return &failure{reason: make(chan error, 1)} }

func (f *failure) set(err error) { f.once.Do(func() { f.reason <- err }) }

// OnWrite is called after a fatal or panic record is written, and ends the goroutine that wrote it.
func (f *failure) OnWrite(entry *zapcore.CheckedEntry, fields []zapcore.Field) {
	err := errors.New(entry.Message)
	for _, field := range fields {
		if cause, ok := field.Interface.(error); ok && field.Type == zapcore.ErrorType {
			err = fmt.Errorf("%w: %w", err, cause)
		}
	}
	f.set(err)
	runtime.Goexit()
}

// early are warnings about a new store, in which etcd has not yet stored the version of its format.
var early = map[string]bool{"Failed to detect schema version": true, "failed to update storage version": true}

// klogCore hands etcd's log records to the process's one log.
type klogCore struct {
	zapcore.LevelEnabler
	fields []zapcore.Field
	quiet  *atomic.Bool
}

func (c klogCore) With(fields []zapcore.Field) zapcore.Core {
	c.fields = append(c.fields[:len(c.fields):len(c.fields)], fields...)
	return c
}

func (c klogCore) Check(entry zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(entry.Level) {
		return checked.AddCore(entry, c)
	}
	return checked
}

func (c klogCore) Write(entry zapcore.Entry, fields []zapcore.Field) error {
	encoder := zapcore.NewMapObjectEncoder()
	for _, f := range append(c.fields[:len(c.fields):len(c.fields)], fields...) {
		f.AddTo(encoder)
	}
	pairs := make([]any, 0, 2*len(encoder.Fields))
	for key, value := range encoder.Fields {
		pairs = append(pairs, key, fmt.Sprint(value))
	}
	logger := klog.Background().WithName("etcd")
	if c.quiet.Load() || early[entry.Message] {
		logger.V(4).Info(entry.Message, pairs...)
		return nil
	}
	if entry.Level >= zapcore.ErrorLevel {
		logger.Error(nil, entry.Message, pairs...)
	} else {
		logger.Info(entry.Message, pairs...)
	}
	return nil
}

func (c klogCore) Sync() error { return nil }
