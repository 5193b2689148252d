package crash

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"

	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
)

// Contain has the Kubernetes libraries log panics without their values, and go on instead of ending the process. It
// changes variables of k8s.io/apimachinery/pkg/util/runtime, for the whole process, the first time that it is called.
var Contain = sync.OnceFunc(func() {
	utilruntime.ReallyCrash = false
	utilruntime.PanicHandlers = []func(context.Context, any){func(ctx context.Context, value any) {
		if value != http.ErrAbortHandler { //nolint:errorlint // as net/http compares it
			Recovered(value).Log(ctx, "Observed a panic")
		}
	}}
	for i, handle := range utilruntime.ErrorHandlers {
		utilruntime.ErrorHandlers[i] = withoutValues(handle)
	}
})

// panicReason is what k8s.io/apiserver puts before the value of a panic in an error.
const panicReason = "panic-reason: "

// withoutValues has errors handled without the value of the panic of a request that has timed out.
func withoutValues(handle utilruntime.ErrorHandler) utilruntime.ErrorHandler {
	return func(ctx context.Context, err error, msg string, keysAndValues ...any) {
		if err != nil {
			if text, reason, ok := strings.Cut(err.Error(), panicReason); ok && reason != "<nil>" {
				err = errors.New(text + panicReason + "not told")
			}
		}
		if i := slices.Index(keysAndValues, any("result")); msg == "Post-timeout activity" && i >= 0 && i+1 < len(keysAndValues) {
			keysAndValues = slices.Clone(keysAndValues)
			keysAndValues[i+1] = fmt.Sprintf("%T", keysAndValues[i+1])
		}
		handle(ctx, err, msg, keysAndValues...)
	}
}

// Audited is an audit backend that gets the record of a request that panicked without the value.
type Audited struct{ audit.Backend }

// ProcessEvents takes in audit records.
func (a Audited) ProcessEvents(events ...*auditapi.Event) bool {
	const panicked = "APIServer panic'd"
	for i, event := range events {
		if status := event.ResponseStatus; status != nil && strings.HasPrefix(status.Message, panicked+": ") {
			shown, told := *event, *status
			told.Message = panicked
			shown.ResponseStatus = &told
			events = slices.Clone(events)
			events[i] = &shown
		}
	}
	return a.Backend.ProcessEvents(events...)
}
