package main

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/spf13/pflag"
)

func TestFlags(t *testing.T) {
	const peer = "--peer=https://127.0.0.1:6443"
	for name, test := range map[string]struct {
		args []string
		err  string
	}{
		"none":                      {},
		"a peer":                    {args: []string{peer, "--peer-pid=1,2", "--peer-token-file=t"}},
		"an argument":               {args: []string{"x"}, err: "no arguments"},
		"no rounds":                 {args: []string{"--rounds=0"}, err: "--rounds"},
		"a short window":            {args: []string{"--window=50ms"}, err: "--window: at least 100ms"},
		"nobody at all":             {args: []string{"--concurrency=0"}, err: "--concurrency"},
		"an unknown format":         {args: []string{"--format=csv"}, err: `"csv" is neither`},
		"nowhere to write":          {args: []string{"--write=nowhere/file"}, err: "--write"},
		"no regular expression":     {args: []string{"--run=("}, err: "--run"},
		"a peer without a process":  {args: []string{peer, "--peer-token-file=t"}, err: "--peer-pid"},
		"a peer without an admin":   {args: []string{peer, "--peer-pid=1"}, err: "administrator"},
		"a peer with half a pair":   {args: []string{peer, "--peer-pid=1", "--peer-token-file=t", "--peer-client-key=k"}, err: "go together"},
		"a process without a peer":  {args: []string{"--peer-pid=1"}, err: "neither --peer nor"},
		"a key file without a peer": {args: []string{"--peer-signing-key-file=k"}, err: "neither --peer nor"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := parseFlags(test.args, &bytes.Buffer{})
			checkError(t, err, test.err)
		})
	}
}

func TestQuick(t *testing.T) {
	for args, want := range map[string]plan{
		"":                            {rounds: 9, window: 800 * time.Millisecond, warm: 800 * time.Millisecond / 3, workers: 16},
		"--quick":                     {rounds: 2, window: 250 * time.Millisecond, warm: 200 * time.Millisecond, workers: 16},
		"--quick --rounds=10":         {rounds: 10, window: 250 * time.Millisecond, warm: 200 * time.Millisecond, workers: 16},
		"--window=3s --quick":         {rounds: 2, window: 3 * time.Second, warm: time.Second, workers: 16},
		"--concurrency=1 --window=1m": {rounds: 9, window: time.Minute, warm: 20 * time.Second, workers: 1},
	} {
		got, err := parseFlags(strings.Fields(args), &bytes.Buffer{})
		if err != nil {
			t.Errorf("%s: %v", args, err)
		} else if got.plan != want {
			t.Errorf("%s: %+v, want %+v", args, got.plan, want)
		}
	}
}

func TestSelection(t *testing.T) {
	all := len(scenarios())
	for run, want := range map[string]int{"": 2 * all, "ReviewWarm": 4, "ReviewWarm/": 2, "ReviewWarm/http=2$": 1, "http=1": all, "nothing": 0} {
		o, err := parseFlags([]string{"--run", run}, &bytes.Buffer{})
		if err != nil {
			t.Fatal(err)
		}
		got := 0
		for _, sc := range scenarios() {
			for _, version := range protocols {
				if o.selected(sc, version) {
					got++
				}
			}
		}
		if got != want {
			t.Errorf("--run %q selects %d, want %d", run, got, want)
		}
	}
}

func TestList(t *testing.T) {
	for _, flag := range []string{"--list", "--help"} {
		var out bytes.Buffer
		if _, err := parseFlags([]string{flag}, &out); !errors.Is(err, pflag.ErrHelp) {
			t.Errorf("%s: error %v", flag, err)
		}
		if !strings.Contains(out.String(), "ReviewNew") {
			t.Errorf("%s prints %q", flag, &out)
		}
	}
}
