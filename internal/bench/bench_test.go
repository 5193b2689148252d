package main

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/options"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestMain lets the test's binary be the programs that the benchmark starts: itself as the floor, and the server.
func TestMain(m *testing.M) {
	switch {
	case len(os.Args) > 1 && (os.Args[1] == floorCommand || os.Args[1] == etcdCommand):
		main()
	case len(os.Args) > 1 && os.Args[1] == "serve":
		if err := serve(os.Args[2:]); err != nil {
			panic(err)
		}
	default:
		listed, lookTimes = 5, 3
		os.Exit(m.Run())
	}
}

// serve is "mintmark serve".
func serve(args []string) error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	opts := options.New()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	groups := opts.Flags()
	for _, group := range groups.Order {
		flags.AddFlagSet(groups.FlagSets[group])
	}
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := opts.Config()
	if err != nil {
		return err
	}
	server, err := apiserver.New(ctx, cfg)
	if err != nil {
		return err
	}
	return server.Run(ctx)
}

// bench runs the program with the test's binary for a server, for as short as is possible.
func bench(ctx context.Context, t *testing.T, log io.Writer, args ...string) (string, error) {
	t.Helper()
	return command(ctx, t, log, append([]string{"--binary", binary(t), "--rounds=1", "--window=250ms"}, args...)...)
}

func binary(t *testing.T) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return self
}

// command runs the program, and fails the test if it leaves files or processes behind.
func command(ctx context.Context, t *testing.T, log io.Writer, args ...string) (string, error) {
	t.Helper()
	needProc(t)
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	var out bytes.Buffer
	err := run(ctx, args, streams{in: strings.NewReader(""), out: &out, err: log})
	if files, err := os.ReadDir(tmp); err != nil || len(files) > 0 {
		t.Errorf("left behind: %v, %v", files, err)
	}
	for file, command := range commands(t) {
		if strings.Contains(command, tmp) {
			t.Errorf("left behind: %s", file)
		}
	}
	return out.String(), err
}

// TestBench measures a few scenarios, with a peer whose key it doesn't know.
func TestBench(t *testing.T) {
	peer := testserver.Start(t)
	document := filepath.Join(t.TempDir(), "performance.md")
	var log bytes.Buffer
	out, err := bench(t.Context(), t, &log, "--format=benchstat", "--write", document,
		"--run=(ReviewNew|ReviewForged|ReviewWarmByCertificate)/http=2|TokenRequest/http=1",
		"--peer-kubeconfig", peer.Kubeconfig, "--peer-pid", strconv.Itoa(os.Getpid()))
	if err != nil {
		t.Fatalf("%v\n%s", err, &log)
	}

	var got, want []string
	line := regexp.MustCompile(`(?m)^Benchmark(.*)-\d+ [1-9]\d* [1-9]\d* cpu-ns/req ([\d.]+) ratio [\d.]+ req/s [1-9]\d* p50-ns [1-9]\d* p99-ns$`)
	for _, match := range line.FindAllStringSubmatch(out, -1) {
		got = append(got, match[1])
		if strings.HasSuffix(match[1], "=floor") && match[2] != "1.000" {
			t.Errorf("%s is %s times itself", match[1], match[2])
		}
	}
	for _, name := range []string{"ReviewNew/http=2", "ReviewForged/http=2", "TokenRequest/http=1.1", "ReviewWarmByCertificate/http=2"} {
		for _, server := range []string{floorName, serverName, "peer"} {
			want = append(want, name+"/server="+server)
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("measured -want +got:\n%s\n%s", diff, out)
	}

	written, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(written), "| token request (ES256) ") {
		t.Error("the document has no row for token requests")
	}
	if strings.Contains(string(written)+out+log.String(), "eyJ") {
		t.Error("there is a token in what was written")
	}
	for _, clean := range []func() (int, error){
		func() (int, error) {
			list, err := peer.Admin().RbacV1().ClusterRoleBindings().List(t.Context(), metav1.ListOptions{})
			return strings.Count(list.String(), "mintmark-bench-"), err
		},
		func() (int, error) {
			list, err := peer.Admin().CoreV1().Namespaces().List(t.Context(), metav1.ListOptions{})
			n := 0
			for _, namespace := range list.Items {
				if namespace.DeletionTimestamp == nil && strings.HasPrefix(namespace.Name, "mintmark-bench-") {
					n++
				}
			}
			return n, err
		},
	} {
		if n, err := clean(); n > 0 || err != nil {
			t.Errorf("%d objects left at the peer, %v", n, err)
		}
	}
}

// interrupter ends a context as soon as something is written: that the first scenario begins.
type interrupter context.CancelFunc

func (i interrupter) Write(text []byte) (int, error) {
	i()
	return len(text), nil
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	_, err := bench(ctx, t, interrupter(cancel), "--window=1h", "--run=ReviewWarm/http=1")
	checkError(t, err, "interrupted")
}

// TestServerRefuses has the server refuse a flag.
func TestServerRefuses(t *testing.T) {
	_, err := bench(t.Context(), t, io.Discard, "--server-flag=--nonsense")
	checkError(t, err, "unknown flag: --nonsense")
}

// killer ends the server as soon as the first scenario begins.
type killer struct{ t *testing.T }

func (k killer) Write(text []byte) (int, error) {
	for file, command := range commands(k.t) {
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil && strings.Contains(command, os.Getenv("TMPDIR")) && strings.Contains(command, "data-dir") {
			return len(text), syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	k.t.Error("no server is running")
	return len(text), nil
}

func TestServerEnds(t *testing.T) {
	_, err := bench(t.Context(), t, killer{t}, "--window=1h", "--run=ReviewWarm/http=1")
	checkError(t, err, "the process has ended")
}

// commands are the command lines of all processes, by their files in /proc.
func commands(t *testing.T) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(procDir, "*", "cmdline"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no processes: %v", err)
	}
	lines := map[string]string{}
	for _, file := range files {
		// Some of them have ended since.
		if line, err := os.ReadFile(file); err == nil {
			lines[file] = string(line)
		}
	}
	return lines
}

func TestNothingSelected(t *testing.T) {
	_, err := bench(t.Context(), t, io.Discard, "--run=nothing")
	checkError(t, err, "--run nothing selects nothing")
}

func TestBinaryIsNone(t *testing.T) {
	_, err := bench(t.Context(), t, io.Discard, "--binary", writeFile(t, []byte("#!/bin/sh\n")))
	checkError(t, err, "--binary")
}

func writeFile(t *testing.T, content []byte) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
