package options_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/options"
)

// TestClusterSigning: the authority for certificates is whole, and a certificate lives for some time.
func TestClusterSigning(t *testing.T) {
	cfg, err := parse(t)
	if err != nil || cfg.ClusterSigning.Duration != 365*24*time.Hour || cfg.ClusterSigning.CertFile != "" {
		t.Errorf("without flags: %+v, %v", cfg.ClusterSigning, err)
	}
	missing := filepath.Join(t.TempDir(), "missing")
	for flags, want := range map[string]string{
		"--cluster-signing-cert-file=a": "--cluster-signing-cert-file and --cluster-signing-key-file go together",
		"--cluster-signing-key-file=a":  "--cluster-signing-cert-file and --cluster-signing-key-file go together",
		"--cluster-signing-cert-file=" + missing + " --cluster-signing-key-file=" + missing: "--cluster-signing-cert-file: open " + missing,
		"--cluster-signing-duration=0s":  "--cluster-signing-duration must be longer than 0",
		"--cluster-signing-duration=-1h": "--cluster-signing-duration must be longer than 0",
	} {
		if _, err := parse(t, strings.Fields(flags)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", flags, err, want)
		}
	}
	groups := options.New().Flags()
	for name, set := range groups.FlagSets {
		if set.Lookup("cluster-signing-kubelet-client-cert-file") != nil {
			t.Errorf("%s has a flag for the authority of one signer", name)
		}
	}
}
