package options_test

import (
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"

	"github.com/mintmark/mintmark/internal/authn"
)

// The flags about who is let in are refused in kube-apiserver's words.
func TestRefusedAuthentication(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	const head = "apiVersion: apiserver.config.k8s.io/v1\nkind: AuthenticationConfiguration\n"
	anonymous := file("anonymous", head+"anonymous: {enabled: true}\n")
	for flags, want := range map[string]string{
		"--requestheader-username-headers=X-Remote-User, ": `empty value in "requestheader-username-headers"`,
		"--requestheader-uid-headers=X-Other":              "--requestheader-uid-headers is set without specifying the standard X-Remote-Uid header - API aggregation will not work",
		"--authentication-token-webhook-version=v2":        `unsupported authentication webhook version "v2", supported versions are "v1", "v1beta1"`,
		"--token-cache-size=0":                             "--token-cache-size=0: it must be between 1Mi and 64Gi",
		"--token-cache-size=-16Mi":                         "--token-cache-size=-16Mi: it must be between 1Mi and 64Gi",
		"--token-cache-size=16":                            "--token-cache-size=16: it must be between 1Mi and 64Gi",
		"--token-cache-size=1048575":                       "--token-cache-size=1048575: it must be",
		"--token-cache-size=65Gi":                          "--token-cache-size=65Gi: it must be",
		"--allow-private-issuers=10.1.2.3":                 `--allow-private-issuers: "10.1.2.3" has no length: write 10.1.2.3/32`,
		"--allow-private-issuers=10.0.0.0/8,0.0.0.0/0":     `--allow-private-issuers: "0.0.0.0/0" holds addresses that need no permission`,
		"--oidc-issuer-url=https://a":                      "oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set",
		"--oidc-groups-claim=groups":                       "must be specified together",
		"--oidc-issuer-url=https://a|--oidc-client-id=b|--authentication-config=" + anonymous: "authentication-config file and oidc-* flags are mutually exclusive",
		"--anonymous-auth=true|--authentication-config=" + anonymous:                          "anonymous: Forbidden: --anonymous-auth flag cannot be set when anonymous field is configured in authentication configuration file",
		"--authentication-config=" + file("empty", ""):                                        "--authentication-config: empty config data",
		"--authentication-config=" + file("unknown", head+"more: 1\n"):                        `unknown field "more"`,
		"--authentication-config=" + filepath.Join(dir, "none"):                               "no such file",
		"--oidc-issuer-url=https://a|--oidc-client-id=b|--oidc-ca-file=" + dir + "/none":      "--oidc-ca-file: open",
	} {
		_, err := parse(t, strings.Split(flags, "|")...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", flags, err, want)
		}
	}
	if _, err := parse(t, "--authentication-config="+anonymous); err != nil {
		t.Error(err)
	}
}

// The networks of several flags and of one are the same.
func TestPrivateIssuers(t *testing.T) {
	for _, flags := range []string{"--allow-private-issuers=10.0.0.0/8,fd00::/8", "--allow-private-issuers=10.0.0.0/8|--allow-private-issuers=fd00::/8"} {
		cfg, err := parse(t, strings.Split(flags, "|")...)
		if err != nil || !slices.Equal(cfg.Authentication.PrivateIssuers, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("fd00::/8")}) {
			t.Errorf("%s: %v, %v", flags, cfg.Authentication.PrivateIssuers, err)
		}
	}
	if cfg, err := parse(t); err != nil || cfg.Authentication.PrivateIssuers != nil {
		t.Error(cfg.Authentication.PrivateIssuers, err)
	}
}

func TestWebhookDefaults(t *testing.T) {
	cfg, err := parse(t)
	if err != nil {
		t.Fatal(err)
	}
	want := authn.WebhookConfig{Version: "v1beta1", CacheTTL: 2 * time.Minute}
	if diff := cmp.Diff(want, cfg.Authentication.Webhook); diff != "" {
		t.Error(diff)
	}
	if cfg.Authentication.Issuers != nil {
		t.Error("there are issuers without a flag")
	}
}

// The flags for one issuer say what a configuration file would.
func TestIssuerFlags(t *testing.T) {
	const issuer = "--oidc-issuer-url=https://a --oidc-client-id=client"
	for flags, want := range map[string]apiserverapi.ClaimMappings{
		"":                              {Username: apiserverapi.PrefixedClaimOrExpression{Claim: "sub", Prefix: new("https://a#")}},
		" --oidc-username-claim=name":   {Username: apiserverapi.PrefixedClaimOrExpression{Claim: "name", Prefix: new("https://a#")}},
		" --oidc-username-claim=email":  {Username: apiserverapi.PrefixedClaimOrExpression{Claim: "email", Prefix: new("")}},
		" --oidc-username-prefix=-":     {Username: apiserverapi.PrefixedClaimOrExpression{Claim: "sub", Prefix: new("")}},
		" --oidc-username-prefix=oidc:": {Username: apiserverapi.PrefixedClaimOrExpression{Claim: "sub", Prefix: new("oidc:")}},
		" --oidc-groups-claim=roles --oidc-groups-prefix=g:": {
			Username: apiserverapi.PrefixedClaimOrExpression{Claim: "sub", Prefix: new("https://a#")},
			Groups:   apiserverapi.PrefixedClaimOrExpression{Claim: "roles", Prefix: new("g:")},
		},
	} {
		cfg, err := parse(t, strings.Fields(issuer+flags)...)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, cfg.Authentication.Issuers.JWT[0].ClaimMappings); diff != "" {
			t.Errorf("%s: %s", flags, diff)
		}
	}
	cfg, err := parse(t, strings.Fields(issuer+" --oidc-required-claim=b=2 --oidc-required-claim=a=1 --oidc-signing-algs=ES256")...)
	if err != nil {
		t.Fatal(err)
	}
	rules := []apiserverapi.ClaimValidationRule{{Claim: "a", RequiredValue: "1"}, {Claim: "b", RequiredValue: "2"}}
	if diff := cmp.Diff(rules, cfg.Authentication.Issuers.JWT[0].ClaimValidationRules); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"ES256"}, cfg.Authentication.IssuerAlgorithms); diff != "" {
		t.Error(diff)
	}
}

func TestTokenCacheSize(t *testing.T) {
	for flags, want := range map[string]int{"": 16 << 20, "--token-cache-size=1Mi": 1 << 20, "--token-cache-size=1G": 1e9, "--token-cache-size=64Gi": 64 << 30} {
		cfg, err := parse(t, strings.Fields(flags)...)
		if err != nil {
			t.Fatal(err)
		}
		if got := cfg.Authentication.CacheBytes; got != want {
			t.Errorf("%q: %d bytes, want %d", flags, got, want)
		}
	}
}
