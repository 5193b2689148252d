package options_test

import (
	"strings"
	"testing"
	"time"
)

func TestEphemeral(t *testing.T) {
	cfg, err := parse(t, "--ephemeral", "--service-account-min-token-expiration=5s")
	if err != nil {
		t.Fatal(err)
	}
	if !cfg.Ephemeral || cfg.Clock == nil || cfg.Serving.BindPort != 0 || cfg.Tokens.MinExpiration != 5*time.Second {
		t.Errorf("ephemeral %t, clock %v, port %d, shortest life %s", cfg.Ephemeral, cfg.Clock, cfg.Serving.BindPort, cfg.Tokens.MinExpiration)
	}
	if cfg, err = parse(t, "--ephemeral", "--secure-port=7443"); err != nil || cfg.Serving.BindPort != 7443 {
		t.Errorf("port %d, %v", cfg.Serving.BindPort, err)
	}
	if cfg, err = parse(t); err != nil || cfg.Ephemeral || cfg.Clock != nil {
		t.Errorf("a server is ephemeral without the flag: %v", err)
	}
}

func TestEphemeralRefuses(t *testing.T) {
	for want, flags := range map[string][]string{
		"--ephemeral and --data-dir exclude each other":                         {"--ephemeral", "--data-dir=./mintmark-data"},
		"--ephemeral and --etcd-servers exclude each other":                     {"--ephemeral", "--etcd-servers=https://127.0.0.1:2379"},
		"--ephemeral and --change-service-account-issuer exclude each other":    {"--ephemeral", "--change-service-account-issuer", "--service-account-issuer=https://a.example"},
		"--service-account-min-token-expiration must be between 1s and 10m":     {"--ephemeral", "--service-account-min-token-expiration=500ms"},
		"--service-account-min-token-expiration is for tests: give --ephemeral": {"--service-account-min-token-expiration=5s"},
	} {
		if _, err := parse(t, flags...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", flags, err, want)
		}
	}
}
