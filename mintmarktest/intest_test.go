package mintmarktest_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// inTest runs an example as a test: examples have no testing.T. What fails is printed, which no example expects.
func inTest(run func(t testing.TB)) {
	ctx, cancel := context.WithCancel(context.Background())
	t := &exampleTest{ctx: ctx}
	defer func() {
		cancel()
		for _, clean := range slices.Backward(t.cleanups) {
			clean()
		}
	}()
	run(t)
}

// exampleTest has what Server needs of a test.
type exampleTest struct {
	testing.TB
	ctx      context.Context
	cleanups []func()
}

func (t *exampleTest) Helper()                           {}
func (t *exampleTest) Context() context.Context          { return t.ctx }
func (t *exampleTest) Cleanup(clean func())              { t.cleanups = append(t.cleanups, clean) }
func (t *exampleTest) Errorf(format string, args ...any) { fmt.Printf(format+"\n", args...) }
func (t *exampleTest) Fatalf(format string, args ...any) { panic(fmt.Sprintf(format, args...)) }

func newAccount(name string) *corev1.ServiceAccount {
	return &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
}
