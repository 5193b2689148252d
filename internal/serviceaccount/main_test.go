package serviceaccount_test

import (
	"io"
	"testing"

	"k8s.io/klog/v2"
)

// TestMain keeps the log of the store out of the results.
func TestMain(m *testing.M) {
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	m.Run()
}
