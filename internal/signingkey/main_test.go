package signingkey

import (
	"testing"

	"k8s.io/klog/v2"
)

// TestMain keeps the log out of the results.
func TestMain(m *testing.M) {
	klog.SetLogger(klog.Logger{})
	m.Run()
}
