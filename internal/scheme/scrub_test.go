package scheme

import "testing"

func TestScrub(t *testing.T) {
	for body, want := range map[string]string{
		"":                       "",
		"token please":           "token please",
		`{"spec":{"token":"x"}`:  `{"spec":{"token":"x"}`,
		"abcdef.0123456789":      "*****************",
		`{"token":"abcdef.01234`: `{"token":"************`,
		`{"apiVersion":"authentication.k8s.io/v1","spec`: `{"apiVersion":"authentication.k8s.io/v1","spec`,
		"k8s\x00\n\x03abcdefghijklm\x12":                 "k8s\x00\n\x03*************\x12",
	} {
		got := []byte(body)
		if scrub(got); string(got) != want {
			t.Errorf("%q: %q, want %q", body, got, want)
		}
	}
}
