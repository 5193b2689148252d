package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"k8s.io/client-go/tools/clientcmd"
)

// ephemeral is a running "mintmark serve --ephemeral".
type ephemeral struct {
	ephemeralServer
	*exec.Cmd
	stdin io.Closer
}

func startEphemeral(t *testing.T, flags ...string) *ephemeral {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), startTimeout)
	t.Cleanup(cancel)
	// TestMain has put the program into the path.
	e := &ephemeral{Cmd: exec.CommandContext(ctx, "mintmark", append([]string{"serve", "--ephemeral"}, flags...)...)}
	in, err := e.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	e.stdin = in
	out, err := e.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := e.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err != nil || json.Unmarshal(line, &e.ephemeralServer) != nil {
		_ = in.Close()
		_ = e.Wait()
		t.Fatalf("the first line is no JSON: %v", err)
	}
	return e
}

// ends waits for the server and looks whether it has left anything.
func (e *ephemeral) ends(t *testing.T) {
	t.Helper()
	if err := e.Wait(); err != nil {
		t.Errorf("the server ended with %v", err)
	}
	if _, err := os.Stat(filepath.Dir(e.Kubeconfig)); !os.IsNotExist(err) {
		t.Errorf("its directory is still there: %v", err)
	}
}

func TestServeEphemeral(t *testing.T) {
	t.Parallel()
	e := startEphemeral(t, "--service-account-min-token-expiration=1s")
	config, err := clientcmd.BuildConfigFromFlags("", e.Kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	if pem, err := os.ReadFile(e.CAFile); err != nil || string(pem) != e.CA || config.Host != e.URL || e.Issuer != e.URL {
		t.Errorf("%s, %s: %v", e.URL, e.CAFile, err)
	}
	token := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(token, []byte(e.Token), 0o600); err != nil {
		t.Fatal(err)
	}
	asAdmin := []string{"--server", e.URL, "--certificate-authority", e.CAFile, "--bearer-token-file", token}
	good := mintmark(t, "", append([]string{"token", "create", "default", "--duration=1h"}, asAdmin...)...)
	good.want(t, 0, ".", "")
	short := mintmark(t, "", append([]string{"token", "create", "default", "--duration=5s"}, asAdmin...)...)
	short.want(t, 0, ".", "")
	review := func(token string) int {
		return mintmark(t, token, "token", "review", "--kubeconfig", e.Kubeconfig, "-").code
	}
	if code := review(good.out); code != 0 {
		t.Errorf("a good token: exit code %d", code)
	}
	for _, kind := range []string{"Expired", "HMACWithPublicKey", "Revoked"} {
		forged := mintmark(t, "", "token", "forge", "default", "--kind", kind, "--kubeconfig", e.Kubeconfig)
		forged.want(t, 0, ".", "")
		if code := review(forged.out); code != exitRefused {
			t.Errorf("%s: exit code %d", kind, code)
		}
	}
	before := strings.TrimSpace(mintmark(t, "", "clock", "--kubeconfig", e.Kubeconfig).out)
	after := strings.TrimSpace(mintmark(t, "", "clock", "advance", "2h", "--kubeconfig", e.Kubeconfig).out)
	if before == "" || after <= before {
		t.Errorf("the clock went from %s to %s", before, after)
	}
	if code := review(good.out); code != exitRefused {
		t.Errorf("an hour's token after two hours: exit code %d", code)
	}
	// A bootstrap token lives by the clock of the server, which is ahead of this machine's by now.
	mintmark(t, "", "node", "add", "vm1", "--kubeconfig", e.Kubeconfig).want(t, 0, "mintmark agent --server "+e.URL, "Warning: the clock of the server is 2h0m0s ahead of that of this machine")
	mintmark(t, "", "token", "forge", "nobody", "--kind", "Expired", "--kubeconfig", e.Kubeconfig).want(t, exitFailed, "", `serviceaccounts "nobody" not found`)
	mintmark(t, "", "token", "forge", "default", "--kind", "Expired", "--kubeconfig", e.Kubeconfig, "--as", "ann").
		want(t, exitFailed, "", "for its administrator")
	_ = e.stdin.Close()
	e.ends(t)
}

func TestServeEphemeralEndsBySignal(t *testing.T) {
	t.Parallel()
	e := startEphemeral(t)
	if err := e.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	e.ends(t)
}

func TestForgeWithoutServer(t *testing.T) {
	t.Parallel()
	mintmark(t, "", "token", "forge", "--list-kinds").want(t, 0, "HMACWithPublicKey", "")
	mintmark(t, "", "token", "forge", "--list-kinds", "-o", "json").want(t, 0, `"needsReview": true`, "")
	mintmark(t, "", "token", "forge", "default", "--kind", "Nonsense").want(t, exitUsage, "", "the kinds are Expired, ")
	mintmark(t, "", "clock", "advance", "soon").want(t, exitUsage, "", "such as 1h30m")
}
