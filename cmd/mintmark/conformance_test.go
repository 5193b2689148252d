package main

import (
	"path/filepath"
	"testing"
)

// A signer that is not there: the check that says so is named, and the exit code is 1. What the checks find is tested in
// externalsignertest, and script/external-signer runs the command against a server.
func TestConformanceWithoutSigner(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "none")
	got := mintmark(t, "", "conformance", "external-signer", "unix://"+socket)
	got.want(t, 1, "FAILED   socket/connects", "")
	got.want(t, 1, "0 passed, 1 failed, ", "")
	mintmark(t, "", "conformance", "external-signer").want(t, 2, "", "name one socket")
	mintmark(t, "", "conformance", "external-signers").want(t, 2, "", "mintmark conformance external-signer")
}
