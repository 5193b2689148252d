package serviceaccount_test

import (
	"fmt"
	"os"
	"testing"

	"k8s.io/klog/v2"
)

// TestMain keeps the log of the store out of the results.
func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	code := m.Run()
	if testing.Verbose() {
		fmt.Printf("%d reviews were explained, %d of them refusals\n", explained.Load(), explainedRefusals.Load())
	}
	os.Exit(code)
}
