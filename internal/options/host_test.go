package options_test

import (
	"strings"
	"testing"
)

// The issuer and the serving certificate follow from the external host name.
func TestExternalHostname(t *testing.T) {
	for given, want := range map[string]string{
		"t.example":        "t.example",
		"T.Example":        "T.Example",
		"my_host":          "my_host",
		"t.example:8443":   "t.example:8443",
		"192.0.2.1":        "192.0.2.1",
		"192.0.2.1:443":    "192.0.2.1:443",
		"[::1]":            "::1",
		"::1":              "::1",
		"[2001:DB8::1]":    "2001:db8::1",
		"[::1]:8443":       "[::1]:8443",
		"xn--mnchen-3ya.x": "xn--mnchen-3ya.x",
	} {
		cfg, err := parse(t, "--external-hostname="+given)
		if err != nil {
			t.Error(err)
		} else if got := cfg.Server.ExternalHost; got != want {
			t.Errorf("--external-hostname=%s is taken for %q, want %q", given, got, want)
		}
	}
	for given, want := range map[string]string{
		`"t.example"`:                   "is neither",
		"'t.example'":                   "is neither",
		"https://t.example":             "is a URL: leave out the part up to the slashes",
		"t.example/":                    "has a path",
		"t.example/path":                "has a path",
		" t.example":                    "has white space around it",
		"t.example ":                    "has white space around it",
		"t.example\n":                   "has white space around it",
		"t example":                     "is neither",
		"t.example:":                    "has a port that is no number from 1 to 65535",
		"t.example:https":               "has a port that is no number",
		"t.example:0":                   "has a port that is no number",
		"t.example:65536":               "has a port that is no number",
		":8443":                         "is neither",
		"u:p@t.example":                 "",
		"u@t.example":                   "is neither",
		"t..example":                    "is neither",
		"t.example.":                    "has a dot at its end",
		"-t.example":                    "is neither",
		"*.example":                     "is neither",
		"münchen.example":               "Punycode",
		"t.example?a":                   "is neither",
		"t.example#a":                   "is neither",
		"[t.example]":                   "has brackets, which are for IPv6 addresses only",
		"[::1":                          "is neither",
		"::1]":                          "is neither",
		"fe80::1%eth0":                  "has a zone",
		"0.0.0.0":                       "is the address of no machine",
		"::":                            "is the address of no machine",
		strings.Repeat("a", 64):         "is neither",
		strings.Repeat("a.", 127):       "",
		strings.Repeat("a.", 127) + "a": "has 255 characters",
	} {
		_, err := parse(t, "--external-hostname="+given)
		if err == nil || !strings.Contains(err.Error(), "--external-hostname must be a host name or an IP address, with a port or without") || !strings.Contains(err.Error(), want) {
			t.Errorf("--external-hostname=%s: error %v, want %q", given, err, want)
		}
	}
	if _, err := parse(t, "--advertise-address=0.0.0.0"); err == nil || !strings.Contains(err.Error(), "--advertise-address must be") {
		t.Errorf("--advertise-address=0.0.0.0: error %v", err)
	}
}

// Without the flag it is the address that others are told, or else the one to listen on.
func TestDerivedHost(t *testing.T) {
	for flags, want := range map[string]string{
		"":                   "127.0.0.1",
		"--bind-address=::1": "::1",
		"--bind-address=192.0.2.1 --advertise-address=192.0.2.2":               "192.0.2.2",
		"--advertise-address=2001:db8::2":                                      "2001:db8::2",
		"--advertise-address=192.0.2.2 --external-hostname=t.example":          "t.example",
		"--external-hostname= --advertise-address=192.0.2.2 --bind-address=::": "192.0.2.2",
	} {
		cfg, err := parse(t, strings.Fields(flags)...)
		if err != nil {
			t.Error(err)
		} else if got := cfg.Server.ExternalHost; got != want {
			t.Errorf("%s: others reach the server at %q, want %q", flags, got, want)
		}
	}
}

// Issuers and audiences are what kube-apiserver takes, but for slips that make every token useless or give a password away.
func TestIssuersAndAudiences(t *testing.T) {
	for _, good := range [][]string{
		{"--service-account-issuer=api"},
		{"--service-account-issuer=kubernetes/serviceaccount"},
		{"--service-account-issuer=my issuer"},
		{"--service-account-issuer=https://t.example/path/"},
		{"--service-account-issuer=https://t.example/a@b"},
		{"--service-account-issuer=http://t.example"},
		{"--service-account-issuer=urn:example:issuer"},
		{"--service-account-issuer=https://[::1]:8443"},
		{"--service-account-issuer=https://a", "--service-account-issuer=https://b"},
		{"--api-audiences="},
		{"--api-audiences=a,b"},
		{"--api-audiences=a,a"},
		{"--api-audiences=https://t.example,my audience"},
	} {
		if _, err := parse(t, good...); err != nil {
			t.Errorf("%s: %v", good, err)
		}
	}
	for flag, want := range map[string]string{
		"--service-account-issuer=https://":                       `service-account-issuer "https://" has no host`,
		"--service-account-issuer=https:":                         "has no host",
		"--service-account-issuer=https:///path":                  "has no host",
		"--service-account-issuer=https://:8443":                  "has no host",
		"--service-account-issuer=http://":                        "has no host",
		"--service-account-issuer=HTTPS://":                       "has no host",
		"--service-account-issuer=https://user:hunter2@t.example": "service-account-issuer has a user name or a password",
		"--service-account-issuer=https://hunter2@t.example":      "has a user name or a password",
		"--service-account-issuer=https://u:hunter2@t.example:x":  "has a user name or a password",
		"--service-account-issuer=ftp://u:hunter2@t.example":      "has a user name or a password",
		"--service-account-issuer= https://t.example":             "has white space around it",
		"--service-account-issuer=api\n":                          "has white space around it",
		"--service-account-issuer= ":                              "has white space around it",
		`--service-account-issuer="https://t.example"`:            "contained a ':' but was not a valid URL",
		"--service-account-issuer=https://t example":              "contained a ':' but was not a valid URL",
		"--api-audiences=a,,b":                                    "api-audiences has an empty audience in it",
		"--api-audiences=a,":                                      "api-audiences has an empty audience in it",
		"--api-audiences=a, b":                                    `api-audiences: " b" has white space around it`,
		"--service-account-jwks-uri=https://":                     `service-account-jwks-uri "https://" has no host`,
		"--service-account-jwks-uri=https://u:hunter2@a/keys":     "service-account-jwks-uri has a user name or a password",
	} {
		_, err := parse(t, flag)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%s: error %v, want %q", flag, err, want)
		}
	}
}
