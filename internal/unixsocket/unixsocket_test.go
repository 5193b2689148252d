//go:build unix

package unixsocket_test

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/mintmark/mintmark/internal/unixsocket"
)

func TestParse(t *testing.T) {
	for text, want := range map[string]unixsocket.Address{
		"/run/signer.sock":        "/run/signer.sock",
		"unix:///run/signer.sock": "/run/signer.sock",
		"unix:/run/signer.sock":   "/run/signer.sock",
		"signer.sock":             "signer.sock",
		"@signer":                 "@signer",
		"unix://@signer":          "@signer",
		"unix:@a.b-c_d":           "@a.b-c_d",
	} {
		if got, err := unixsocket.Parse(text); err != nil || got != want {
			t.Errorf("%s: %q, %v, want %q", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"":                                "no socket is named",
		"unix://":                         "three slashes",
		"unix:":                           "no socket is named",
		"unix://run/signer.sock":          "three slashes",
		"https://signer":                  "is no Unix socket",
		"tcp://127.0.0.1:1":               "is no Unix socket",
		"@":                               "the name behind @",
		"@a@":                             "the name behind @",
		"@a..b":                           "the name behind @",
		"@a b":                            "the name behind @",
		"@/run/signer.sock":               "the name behind @",
		"/a\x00b":                         "zero byte",
		"/run/" + strings.Repeat("a", 99): "longer than",
	} {
		if got, err := unixsocket.Parse(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %q, %v, want an error with %q", text, got, err, want)
		}
	}
}

func listen(t *testing.T, path string, mode fs.FileMode) (net.Listener, error) {
	t.Helper()
	listener, err := unixsocket.Listen(t.Context(), unixsocket.Address(path), mode)
	if err == nil {
		t.Cleanup(func() { _ = listener.Close() })
	}
	return listener, err
}

// TestListenMode: the mode is the one that was asked for, whatever the umask is, and Close removes the file.
func TestListenMode(t *testing.T) {
	for _, mode := range []fs.FileMode{0o600, 0o660, 0o666} {
		path := filepath.Join(t.TempDir(), "s")
		listener, err := listen(t, path, mode)
		if err != nil {
			t.Fatal(err)
		}
		info, err := os.Lstat(path)
		if err != nil || info.Mode().Perm() != mode {
			t.Errorf("%v, %v, want mode %o", info, err, mode)
		}
		if err := listener.Close(); err != nil {
			t.Error(err)
		}
		if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("after Close: %v", err)
		}
	}
}

// TestListenReplacesDeadSockets: the file of a process that ended without removing it makes way.
func TestListenReplacesDeadSockets(t *testing.T) {
	path := filepath.Join(t.TempDir(), "s")
	dead, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	dead.(*net.UnixListener).SetUnlinkOnClose(false)
	_ = dead.Close()
	listener, err := listen(t, path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	connection, err := unixsocket.Address(path).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_ = connection.Close()

	// What another process has put in its place meanwhile is not removed.
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t, path, 0o600); err != nil {
		t.Fatal(err)
	}
	_ = listener.Close()
	if _, err := os.Lstat(path); err != nil {
		t.Errorf("Close removed another's socket: %v", err)
	}
}

// TestListenRefuses: nothing but a dead socket is replaced, and the error says what to do.
func TestListenRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		prepare func(dir, path string) error
		want    string
	}{
		"a living process":     {func(_, path string) error { _, err := listen(t, path, 0o600); return err }, "another process listens at unix:///"},
		"a symbolic link":      {func(dir, path string) error { return os.Symlink(filepath.Join(dir, "target"), path) }, "is a symbolic link"},
		"a link to a socket":   {func(dir, path string) error { return linkToSocket(t, dir, path) }, "is a symbolic link"},
		"a file":               {func(_, path string) error { return os.WriteFile(path, []byte("kept"), 0o600) }, "is no socket"},
		"a directory":          {func(_, path string) error { return os.Mkdir(path, 0o700) }, "is no socket"},
		"a named pipe":         {func(_, path string) error { return syscall.Mkfifo(path, 0o600) }, "is no socket"},
		"no directory":         {func(dir, _ string) error { return os.Remove(dir) }, "mkdir -p"},
		"everybody's":          {func(dir, _ string) error { return os.Chmod(dir, 0o777) }, "chmod o-w"},
		"a file for directory": {func(dir, _ string) error { return errors.Join(os.Remove(dir), os.WriteFile(dir, nil, 0o600)) }, "is no directory"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "d")
			if err := os.Mkdir(dir, 0o700); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, "s")
			if err := test.prepare(dir, path); err != nil {
				t.Fatal(err)
			}
			before, _ := os.Lstat(path)
			if _, err := listen(t, path, 0o600); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error %v, want %q", err, test.want)
			}
			if after, _ := os.Lstat(path); before != nil && !os.SameFile(before, after) {
				t.Error("the file was replaced")
			}
		})
	}
	sticky := t.TempDir()
	if err := os.Chmod(sticky, 0o777|fs.ModeSticky); err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t, filepath.Join(sticky, "s"), 0o600); err != nil {
		t.Errorf("in a sticky directory: %v", err)
	}
}

func linkToSocket(t *testing.T, dir, path string) error {
	t.Helper()
	target := filepath.Join(dir, "target")
	if _, err := listen(t, target, 0o600); err != nil {
		return err
	}
	return os.Symlink(target, path)
}

func TestAbstractSockets(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux has abstract sockets")
	}
	name := fmt.Sprintf("@mintmark-test-%d", os.Getpid())
	listener, err := listen(t, name, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listen(t, name, 0o600); err == nil || !strings.Contains(err.Error(), "another process listens at unix://@") {
		t.Errorf("a second time: %v", err)
	}
	accepted := make(chan net.Conn, 1)
	go func() {
		connection, _ := listener.Accept()
		accepted <- connection
	}()
	connection, err := unixsocket.Address(name).Dial(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	server := <-accepted
	defer server.Close()
	if uid, err := unixsocket.PeerUID(server); err != nil || uid != os.Geteuid() {
		t.Errorf("the peer's uid is %d, %v, want %d", uid, err, os.Geteuid())
	}
	one, _ := net.Pipe()
	if _, err := unixsocket.PeerUID(one); err == nil {
		t.Error("a pipe has a uid")
	}
}
