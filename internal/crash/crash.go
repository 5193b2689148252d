// Package crash keeps a panic from ending the process, and the value of a panic out of logs, errors and audit records.
// The code that panics may hold a token, and so may the value. Only its type and the stack are told.
package crash

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"runtime/debug"
	"time"

	"k8s.io/klog/v2"
)

// Value stands for the value of a panic.
type Value struct {
	kind  string
	stack string
}

// Error names the type of the value.
func (v Value) Error() string { return "panic with a value of type " + v.kind }

// Recovered returns what may be told of a value that recover returned. It must be called by the function that recovers.
func Recovered(value any) Value {
	if v, ok := value.(Value); ok {
		return v
	}
	return Value{kind: fmt.Sprintf("%T", value), stack: stackOf(value)}
}

// libraryStack begins the stack that k8s.io/apiserver puts behind a value when it hands a panic to another goroutine.
var libraryStack = regexp.MustCompile(`\ngoroutine \d+ \[`)

func stackOf(value any) string {
	if text, ok := value.(string); ok {
		if all := libraryStack.FindAllStringIndex(text, -1); len(all) > 0 {
			return text[all[len(all)-1][0]+1:]
		}
	}
	return string(debug.Stack())
}

// Log logs the panic of a component.
func (v Value) Log(ctx context.Context, msg string) {
	klog.FromContext(ctx).Error(nil, msg, "panic", v.kind, "stack", v.stack)
}

// Guard calls a function, and returns an error if it panics.
func Guard(f func() error) (err error) {
	defer func() {
		if value := recover(); value != nil {
			err = Recovered(value)
		}
	}()
	return f()
}

// restart is how long Keep waits before it runs a function again.
const restart = time.Second

// Keep runs a function, and runs it again when it panics, until the context ends.
func Keep(ctx context.Context, run func(context.Context)) {
	for ctx.Err() == nil {
		crashed := true
		func() {
			defer func() {
				if value := recover(); value != nil {
					Recovered(value).Log(ctx, "A component panicked and is started again")
				}
			}()
			run(ctx)
			crashed = false
		}()
		if !crashed {
			return
		}
		select {
		case <-time.After(restart):
		case <-ctx.Done():
		}
	}
}

// Handler passes on the panics of a handler without their values.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch value := recover(); {
			case value == nil:
			case value == http.ErrAbortHandler: //nolint:errorlint // as net/http compares it
				panic(value)
			default:
				panic(Recovered(value))
			}
		}()
		next.ServeHTTP(w, r)
	})
}
