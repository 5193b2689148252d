package main

import (
	"strings"
	"testing"
)

// TestPrivateHost: the addresses that a server doesn't call are known before the object is made.
func TestPrivateHost(t *testing.T) {
	for address, want := range map[string]string{
		"https://8.8.8.8/keys":              "",
		"https://[2606:4700:4700::1111]":    "",
		"https://127.0.0.1:6443":            "not a public address",
		"https://10.1.2.3":                  "not a public address",
		"https://100.64.0.1":                "not a public address", // of a network such as Tailscale's
		"https://198.18.0.1":                "not a public address",
		"https://[64:ff9b::a01:203]":        "not a public address",
		"https://[::ffff:192.168.0.1]:6443": "192.168.0.1, which is not a public address",
		"http://8.8.8.8":                    "is not an https URL",
	} {
		if why := privateHost(t.Context(), address); (why == "") != (want == "") || !strings.Contains(why, want) {
			t.Errorf("%s: %q, want %q", address, why, want)
		}
	}
}
