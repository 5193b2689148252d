package main

import (
	"bytes"
	"regexp"
	"testing"
	"time"
)

// TestPropagation ends a few tokens, and kills the leader of etcd once.
func TestPropagation(t *testing.T) {
	var log bytes.Buffer
	out, err := command(t.Context(), t, &log, propagationCommand, "--binary", binary(t), "--replicas=2", "--ends=2", "--kills=1", "--after=300ms")
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, name := range []string{
		"etcd alone: .*", "a review .*", "revoked", "account deleted", "revoked, the leader of etcd killed", "account deleted, the leader of etcd killed",
	} {
		if !regexp.MustCompile(`(?m)^\| ` + name + ` \| [1-9]\d* \| \d+\.\d\d \| \d+\.\d\d \| \d+\.\d\d \|$`).MatchString(out) {
			t.Errorf("no row with all figures for %q", name)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

func TestSpreadTable(t *testing.T) {
	got := spreadTable([]*spread{{name: "revoked", times: []time.Duration{3 * time.Millisecond, time.Millisecond, 2 * time.Millisecond}}})
	const want = `| what | times | p50 ms | p99 ms | longest ms |
|------|------:|-------:|-------:|-----------:|
| revoked | 3 | 2.00 | 3.00 | 3.00 |
`
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
