package main

import (
	"bytes"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestSize fills a server with a few objects, and looks at all figures.
func TestSize(t *testing.T) {
	var log bytes.Buffer
	out, err := command(t.Context(), t, &log, sizeCommand, "--binary", binary(t), "--objects=3", "--settle=0s", "--rounds=1", "--window=300ms")
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for name, figures := range map[string]string{
		"new":                               `[1-9]\d* \| \d+ \| [1-9]\d* \| \d+ \|  \| [1-9]\d* \| \d+ \| \d+\.\d \| [1-9]\d*`,
		"empty":                             `[1-9]\d* \| \d+ \| [1-9]\d* \| \d+ \|  \| [1-9]\d* \| \d+ \| \d+\.\d \| [1-9]\d*`,
		"3 accounts, 3 pods":                ` \|  \| [1-9]\d* \| \d+ \| -?\d+\.\d\d \| [1-9]\d* \| \d+ \| \d+\.\d \| [1-9]\d*`,
		"3 accounts, 3 pods, started again": `[1-9]\d* \| \d+ \| [1-9]\d* \| \d+ \| -?\d+\.\d\d \| [1-9]\d* \| \d+ \| \d+\.\d \| [1-9]\d*`,
	} {
		if !regexp.MustCompile(`(?m)^\| ` + name + ` \| ` + figures + ` \| \d+\.\d\d \| -?\d+\.\d\d \|$`).MatchString(out) {
			t.Errorf("no row with all figures for %q", name)
		}
	}
	if t.Failed() {
		t.Log(out)
	}
}

// TestSizeOfRevocations fills a server with revocations.
func TestSizeOfRevocations(t *testing.T) {
	var log bytes.Buffer
	out, err := command(t.Context(), t, &log, sizeCommand, "--binary", binary(t), "--objects=3", "--revocations", "--settle=0s", "--rounds=1", "--window=300ms")
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}
	for _, row := range []string{"| 3 revocations |", "| 3 revocations, started again |"} {
		if !strings.Contains(out, row) {
			t.Errorf("no row %s in\n%s", row, out)
		}
	}
}

// TestSizeOfStore fills the store of a server directly: its own, and an etcd outside of it.
func TestSizeOfStore(t *testing.T) {
	for name, test := range map[string]struct{ flags, rows []string }{
		"its own":  {[]string{"--direct", "--revocations", "--objects=3,5"}, []string{"3 revocations, started again", "5 revocations, started again"}},
		"external": {[]string{"--etcd", "--objects=1003", "--pods=2"}, []string{"1003 accounts, 2 pods, started again"}},
	} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			out, err := command(t.Context(), t, &log, append([]string{sizeCommand, "--binary", binary(t), "--settle=0s", "--rounds=1", "--window=300ms"}, test.flags...)...)
			if err != nil {
				t.Fatalf("%v\n%s", err, &log)
			}
			for _, row := range test.rows {
				if !strings.Contains(out, "| "+row+" |") {
					t.Errorf("no row %s in\n%s", row, out)
				}
			}
		})
	}
}

func TestSizeTable(t *testing.T) {
	table := sizeTable([]state{
		{name: "new", memory: memory{resident: 100e6, files: 70e6}},
		{name: "full", memory: memory{resident: 300e6, files: 100e6}, objects: 100_000, list: 3 * time.Millisecond, watch: 5 * time.Millisecond},
	})
	if want := "| full |  |  | 300 | 100 | 2.00 | 0 | 0 | 0.0 | 0 | 3.00 | 5.00 |"; !strings.Contains(table, want) {
		t.Errorf("no %s in\n%s", want, table)
	}
}

func TestSizeFlags(t *testing.T) {
	for args, want := range map[string]string{
		"":                     "",
		"--objects=1":          "",
		"--objects=0":          "--objects: at least one",
		"--objects=1,2":        "--objects: several",
		"--objects=2,1":        "--objects: at least one",
		"--etcd --objects=1,2": "",
		"--concurrency=0":      "--concurrency: at least one",
		"--settle=-1s":         "--settle",
		"--rounds=0":           "--rounds",
		"x":                    "no arguments",
	} {
		_, err := parseSizeFlags(strings.Fields(args), &bytes.Buffer{})
		checkError(t, err, want)
	}
}

func TestMemoryOfAProcess(t *testing.T) {
	needProc(t)
	got, err := readMemory(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if got.files <= 0 || got.resident <= got.files {
		t.Errorf("%+v", got)
	}
	_, err = readMemory(-1)
	checkError(t, err, "the memory of process -1")
}
