package etcd

import (
	"fmt"

	"go.uber.org/zap/zapcore"
	"k8s.io/klog/v2"
)

// klogCore hands etcd's log records to the process's one log.
type klogCore struct {
	zapcore.LevelEnabler
	fields []zapcore.Field
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
	if entry.Level >= zapcore.ErrorLevel {
		logger.Error(nil, entry.Message, pairs...)
	} else {
		logger.Info(entry.Message, pairs...)
	}
	return nil
}

func (c klogCore) Sync() error { return nil }
