package main

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSecondSignal stops a server that would take an hour for it, and sends a second signal. The program is started as a
// script starts one in the background, with SIGINT ignored.
func TestSecondSignal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	defer cancel()
	// TestMain has put the program into the path.
	server := exec.CommandContext(ctx, "sh", "-c", `trap "" INT; exec mintmark serve --secure-port=0 --shutdown-delay-duration=1h --data-dir "$1"`, "sh", dir)
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	kubeconfig := filepath.Join(dir, "admin.kubeconfig")
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	until := func(want bool) {
		t.Helper()
		for ready(ctx, kubeconfig) != want {
			select {
			case <-tick.C:
			case <-ctx.Done():
				_ = server.Wait()
				t.Fatalf("the server is not ready: %t", !want)
			}
		}
	}
	signal := func(s syscall.Signal) {
		t.Helper()
		if err := server.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	until(true)
	signal(syscall.SIGTERM)
	until(false) // the stop has begun
	signal(syscall.SIGINT)
	if err := server.Wait(); err == nil || server.ProcessState.ExitCode() != 128+int(syscall.SIGINT) {
		t.Errorf("the server ended with %v", server.ProcessState)
	}
}
