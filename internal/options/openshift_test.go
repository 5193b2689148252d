package options_test

import (
	"strings"
	"testing"
	"time"
)

// TestIdleWindow: access tokens may go unused for five minutes at least, or for ever.
func TestIdleWindow(t *testing.T) {
	const short, alone = "accesstoken-inactivity-timeout must either be 0 or greater than 300", "give --openshift-api, too"
	for value, test := range map[string]struct {
		api, refused string
		want         time.Duration
	}{
		"0":      {"true", "", 0},
		"300s":   {"true", "", 300 * time.Second},
		"10m":    {"true", "", 600 * time.Second},
		"299s":   {"true", short, 0},
		"1s":     {"true", short, 0},
		"299.9s": {"true", short, 0},
		"-1s":    {"true", short, 0},
		"-10m":   {"true", short, 0},
		"301s":   {"false", alone, 0},
	} {
		cfg, err := parse(t, "--openshift-api="+test.api, "--accesstoken-inactivity-timeout="+value)
		switch {
		case test.refused != "" && (err == nil || !strings.Contains(err.Error(), test.refused)):
			t.Errorf("%s: %v", value, err)
		case test.refused == "" && (err != nil || cfg.IdleWindow != test.want):
			t.Errorf("%s: %s, %v", value, cfg.IdleWindow, err)
		}
	}
}
