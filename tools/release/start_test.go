package main

import (
	"bufio"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// command is the program, how to run it, and the data directory of its server, as the program sees it.
type command struct {
	path, data string
	dir        string
	process    *syscall.SysProcAttr
	env        []string
}

func (c command) run(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.CommandContext(within(t), c.path, args...)
	cmd.Dir, cmd.SysProcAttr, cmd.Env = c.dir, c.process, c.env
	return cmd
}

// testStarts runs a server until it is ready, asks it as people would who have nothing else, and ends it.
func testStarts(t *testing.T, c command) {
	server := c.run(t, "serve", "--secure-port=0", "--data-dir="+c.data)
	notified := notifySocket(t, &server.Env, c)
	said, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var log strings.Builder
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	serving := false
	for lines := bufio.NewScanner(said); !serving && lines.Scan(); {
		serving = strings.HasPrefix(lines.Text(), "serving https://")
	}
	if !serving {
		_ = server.Wait()
		t.Fatalf("it does not serve:\n%s", log.String())
	}
	go drain(said)
	if notified != nil && !strings.Contains(<-notified, "READY=1") {
		t.Error("systemd is not told that the server is ready")
	}
	for _, args := range [][]string{{"health"}, {"health", "--live"}} {
		answer, err := c.run(t, append(args, "--data-dir="+c.data)...).CombinedOutput()
		if err != nil || !strings.HasPrefix(string(answer), "https://") {
			t.Errorf("%q: %v: %s", args, err, answer)
		}
	}
	if err := server.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := server.Wait(); err != nil {
		t.Errorf("it was told to stop: %v\n%s", err, log.String())
	}
	answer, err := c.run(t, "health", "--data-dir="+c.data).CombinedOutput()
	if err == nil || !strings.Contains(string(answer), "nothing listens") {
		t.Errorf("after its end: %v: %s", err, answer)
	}
}

// notifySocket gives the process a socket as systemd does for Type=notify, and returns what is sent first. A process with another root
// directory can't reach it and gets none.
func notifySocket(t *testing.T, env *[]string, c command) <-chan string {
	t.Helper()
	if c.process != nil {
		return nil
	}
	dir, err := os.MkdirTemp("", "notify") // t.TempDir is too long for a socket's name
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	*env = append(os.Environ(), "NOTIFY_SOCKET="+path)
	sent := make(chan string, 1)
	go func() {
		text := make([]byte, 4096)
		n, _ := socket.Read(text)
		sent <- string(text[:n])
	}()
	return sent
}
