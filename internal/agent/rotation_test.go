package agent

import (
	"io"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// TestRenewalRetry: several tries fit into what is left of a certificate, and an agent whose certificate has ended asks seldom.
func TestRenewalRetry(t *testing.T) {
	refused := apierrors.NewUnauthorized("")
	for _, test := range []struct {
		left time.Duration
		err  error
		want time.Duration
	}{
		{365 * 24 * time.Hour, io.EOF, 10 * time.Minute},
		{time.Hour, io.EOF, 6 * time.Minute},
		{20 * time.Second, refused, 5 * time.Second},
		{0, io.EOF, time.Minute},
		{0, refused, 10 * time.Minute},
		{-time.Hour, refused, 10 * time.Minute},
	} {
		if got := renewalRetry(test.left, test.err); got != test.want {
			t.Errorf("%s left, %v: again after %s, want %s", test.left, test.err, got, test.want)
		}
	}
}
