package crash_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/apimachinery/pkg/util/wait"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
	"k8s.io/apiserver/pkg/audit"
	"k8s.io/klog/v2"
	"k8s.io/klog/v2/textlogger"

	"github.com/mintmark/mintmark/internal/crash"
)

const secret = "a-token-that-nobody-may-see"

// values are values with a secret in them.
var values = map[string]any{
	"text":    secret,
	"error":   errors.New(secret),
	"pointer": &struct{ Token string }{secret},
	"bytes":   []byte(secret),
	"library": fmt.Sprintf("%v\ngoroutine 1 [running]:\nmain.main()", secret),
}

// logging returns a context that logs into what is returned with it.
func logging(ctx context.Context) (context.Context, *bytes.Buffer) {
	log := &bytes.Buffer{}
	return klog.NewContext(ctx, textlogger.NewLogger(textlogger.NewConfig(textlogger.Output(log)))), log
}

func checkTold(t *testing.T, told string) {
	t.Helper()
	if strings.Contains(told, secret) {
		t.Error("the value is told")
	}
}

func TestOnlyTheTypeIsTold(t *testing.T) {
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			err := crash.Guard(func() error { panic(value) })
			told := fmt.Sprintf("%v %+v %#v", err, err, err)
			checkTold(t, told)
			if want := fmt.Sprintf("panic with a value of type %T", value); err.Error() != want {
				t.Errorf("error %q, want %q", err, want)
			}
		})
	}
}

func TestTheStackIsLogged(t *testing.T) {
	ctx, log := logging(t.Context())
	var panicked crash.Value
	if err := crash.Guard(func() error { brokenFunction(); return nil }); !errors.As(err, &panicked) {
		t.Fatalf("%T", err)
	}
	panicked.Log(ctx, "It broke")
	checkTold(t, log.String())
	if !strings.Contains(log.String(), "brokenFunction") {
		t.Errorf("no stack in:\n%s", log)
	}
}

func brokenFunction() { panic(secret) }

func TestKeepStartsAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, log := logging(t.Context())
		start, runs := time.Now(), 0
		crash.Keep(ctx, func(context.Context) {
			if runs++; runs < 4 {
				panic(secret)
			}
		})
		if took := time.Since(start); runs != 4 || took != 3*time.Second {
			t.Errorf("%d runs in %s", runs, took)
		}
		checkTold(t, log.String())
	})
}

func TestKeepEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(klog.NewContext(t.Context(), klog.Logger{}), time.Minute)
		defer cancel()
		start := time.Now()
		crash.Keep(ctx, func(context.Context) { panic(secret) })
		if took := time.Since(start); took != time.Minute {
			t.Errorf("it ended after %s", took)
		}
	})
}

func TestHandlerPassesOnPanics(t *testing.T) {
	for value, want := range map[any]any{secret: crash.Value{}, http.ErrAbortHandler: http.ErrAbortHandler} {
		handler := crash.Handler(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(value) }))
		func() {
			defer func() {
				got := recover()
				if fmt.Sprintf("%T", got) != fmt.Sprintf("%T", want) {
					t.Errorf("panicked with a %T, want a %T", got, want)
				}
				checkTold(t, fmt.Sprint(got))
			}()
			handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/", nil))
		}()
	}
}

// A loop of the library goes on after a panic, which would otherwise end the process.
func TestLibraryLoopsGoOn(t *testing.T) {
	crash.Contain()
	for name, value := range values {
		t.Run(name, func(t *testing.T) {
			ctx, log := logging(t.Context())
			ctx, cancel := context.WithCancel(ctx)
			runs := 0
			wait.UntilWithContext(ctx, func(context.Context) {
				if runs++; runs == 3 {
					cancel()
				}
				panic(value)
			}, time.Millisecond)
			if runs != 3 || !strings.Contains(log.String(), "Observed a panic") {
				t.Errorf("%d runs, logged:\n%s", runs, log)
			}
			checkTold(t, log.String())
		})
	}
}

// What the library says of requests that panic after their time is over.
func TestPanicsAfterTimeouts(t *testing.T) {
	crash.Contain()
	ctx, log := logging(t.Context())
	utilruntime.HandleErrorWithContext(ctx, nil, "Post-timeout activity", "timeElapsed", time.Second, "result", secret)
	utilruntime.HandleErrorWithContext(ctx, fmt.Errorf("FinishRequest: panicked: true, err: <nil>, panic-reason: %v", secret), "Unhandled Error")
	checkTold(t, log.String())
	utilruntime.HandleErrorWithContext(ctx, errors.New("another error"), "Unhandled Error", "result", "as it is")
	for _, want := range []string{"Post-timeout activity", "FinishRequest", "another error", "as it is"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("%q is missing in:\n%s", want, log)
		}
	}
}

type recorded struct {
	audit.Backend
	events []*auditapi.Event
}

func (r *recorded) ProcessEvents(events ...*auditapi.Event) bool {
	r.events = append(r.events, events...)
	return true
}

func TestAuditRecordsOfPanics(t *testing.T) {
	backend := &recorded{}
	panicked := &auditapi.Event{AuditID: "1", ResponseStatus: &metav1.Status{Code: 500, Message: "APIServer panic'd: " + secret}}
	other := &auditapi.Event{AuditID: "2", ResponseStatus: &metav1.Status{Code: 404, Message: "not found"}}
	crash.Audited{Backend: backend}.ProcessEvents(other, panicked, &auditapi.Event{AuditID: "3"})
	if len(backend.events) != 3 || backend.events[0] != other || backend.events[1].AuditID != "1" || backend.events[1].ResponseStatus.Code != 500 {
		t.Fatalf("recorded %v", backend.events)
	}
	checkTold(t, backend.events[1].ResponseStatus.Message)
}
