package livecheck

import (
	"net/http"

	"github.com/mintmark/mintmark/internal/outbound"
)

// With lets a test's own transport make the calls.
func (c *Checker) With(transport http.RoundTripper) *Checker {
	c.newClient = func(outbound.ObjectClient) (caller, error) { return &http.Client{Transport: transport}, nil }
	return c
}

// ReadKubeconfig is readKubeconfig, for its errors.
func ReadKubeconfig(text []byte) error {
	_, err := readKubeconfig(text)
	return err
}

// Constants of the pace.
const (
	CallTimeout = callTimeout
	LastPace    = lastPace
	MaxBusy     = maxBusy
	FailureAge  = failureAge
)
