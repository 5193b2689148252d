package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// startTimeout bounds how long a script waits for a server on a machine with much else to do.
const startTimeout = time.Minute

// TestMain lets scripts run the program itself under its own name.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"mintmark": main})
}

// TestScripts runs the program as a person would, from a shell: see testdata/script.
func TestScripts(t *testing.T) {
	t.Parallel()
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		Cmds:                map[string]func(*testscript.TestScript, bool, []string){"serving": serving, "fresh": fresh},
		Condition: func(condition string) (bool, error) {
			if condition != "kubectl" {
				return false, nil
			}
			_, err := exec.LookPath("kubectl")
			return err == nil, nil
		},
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir)
			env.Setenv("KUBECONFIG", filepath.Join(env.WorkDir, "mintmark-data", "admin.kubeconfig"))
			port, err := freePort()
			env.Setenv("PORT", port)
			return err
		},
	})
}

// freePort returns an unused port, for a server that keeps its port over a restart.
func freePort() (string, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	_, port, err := net.SplitHostPort(listener.Addr().String())
	return port, errors.Join(err, listener.Close())
}

// serving waits until the server of a data directory is ready.
func serving(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: serving DATA-DIR")
	}
	if !awaitReady(context.Background(), filepath.Join(ts.MkAbs(args[0]), "admin.kubeconfig")) {
		ts.Fatalf("no server is ready in %s", args[0])
	}
}

// fresh waits until a file exists and differs from another one, which it then makes a copy of the file.
func fresh(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: fresh FILE COPY")
	}
	file, kept := ts.MkAbs(args[0]), ts.MkAbs(args[1])
	before, err := os.ReadFile(kept)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		ts.Fatalf("%v", err)
	}
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.After(startTimeout); ; {
		if now, err := os.ReadFile(file); err == nil && !bytes.Equal(now, before) {
			ts.Check(os.WriteFile(kept, now, 0o600))
			return
		}
		select {
		case <-tick.C:
		case <-deadline:
			ts.Fatalf("%s is not there, or not fresh", args[0])
		}
	}
}

// awaitReady waits until the server that a kubeconfig leads to is ready. It reports false after startTimeout.
func awaitReady(ctx context.Context, kubeconfig string) bool {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !ready(ctx, kubeconfig) {
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
	return true
}

// ready asks the server that a kubeconfig leads to.
func ready(ctx context.Context, kubeconfig string) bool {
	if _, err := os.Stat(kubeconfig); err != nil {
		return false
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		return false
	}
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return false
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz", http.NoBody)
	if err != nil {
		return false
	}
	response, err := client.Do(request)
	if err != nil {
		return false
	}
	return response.Body.Close() == nil && response.StatusCode == http.StatusOK
}
