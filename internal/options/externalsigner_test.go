package options_test

import (
	"runtime"
	"strings"
	"testing"
)

// TestSigningEndpoint: the rules are kube-apiserver's, and so are their texts.
func TestSigningEndpoint(t *testing.T) {
	const both = "can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with `--service-account-signing-endpoint` (They are mutually exclusive)"
	for args, want := range map[string]string{
		"--service-account-signing-endpoint=/run/signer.sock":                                                    "",
		"--service-account-signing-endpoint=unix:///run/signer.sock":                                             "",
		"--service-account-signing-endpoint=@signer.one":                                                         "",
		"--service-account-signing-endpoint=/s --service-account-signing-key-file=/k":                            both,
		"--service-account-signing-endpoint=/s --service-account-key-file=/k":                                    both,
		"--service-account-signing-endpoint=@a --service-account-signing-key-file=/k":                            both,
		"--service-account-signing-endpoint=@a@":                                                                 "invalid value \"@a@\" passed for `--service-account-signing-endpoint`, when prefixed with @ must be a valid abstract socket name",
		"--service-account-signing-endpoint=@":                                                                   "when prefixed with @ must be a valid abstract socket name",
		"--service-account-signing-endpoint=https://signer":                                                      "is no Unix socket",
		"--service-account-signing-endpoint=/" + strings.Repeat("a", 120):                                        "longer than",
		"--service-account-signing-endpoint=/s --external-jwt-signer-listen=/t":                                  "this server has no keys to sign with for others",
		"--service-account-signing-endpoint=/s --service-account-key-file=/k --service-account-issuer=https://i": both,
	} {
		checkConfig(t, args, want)
	}
}

// TestExternalSignerListen: a socket that can't be, or could be used by others than was meant, is refused by name.
func TestExternalSignerListen(t *testing.T) {
	const listen = "--external-jwt-signer-listen=unix:///run/signer.sock "
	for args, want := range map[string]string{
		listen:                                 "",
		"--external-jwt-signer-listen=@signer": "",
		"--external-jwt-signer-listen=unix://signer":       "three slashes",
		"--external-jwt-signer-listen=@a/b":                "the name behind @",
		listen + "--external-jwt-signer-socket-mode=0400":  "--external-jwt-signer-socket-mode=0400: it must be",
		listen + "--external-jwt-signer-socket-mode=rw":    "it must be an octal mode",
		listen + "--external-jwt-signer-socket-mode=01600": "it must be an octal mode",
		listen + "--external-jwt-signer-socket-mode=":      "it must be an octal mode",
		listen + "--external-jwt-signer-allowed-uids=-1":   "-1 is no uid",
		"--external-jwt-signer-socket-mode=0660":           "are for the socket of --external-jwt-signer-listen",
		"--external-jwt-signer-allowed-uids=1000":          "are for the socket of --external-jwt-signer-listen",
	} {
		checkConfig(t, args, want)
	}
	if runtime.GOOS == "linux" {
		checkConfig(t, listen+"--external-jwt-signer-socket-mode=0660 --external-jwt-signer-allowed-uids=1000,1001", "")
	}
}

// checkConfig checks flags. Without a wanted error there must be none.
func checkConfig(t *testing.T, args, want string) {
	t.Helper()
	_, err := parse(t, strings.Fields(args)...)
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: %v", args, err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("%s: error %v, want %q", args, err, want)
	}
}
