package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/mintmark/mintmark/internal/shell"
)

// dialTimeout is how long a process may take to accept a connection before it counts as living but busy.
const dialTimeout = 2 * time.Second

// Listen listens at an address. The file of a socket gets the mode; abstract sockets have none. A socket that a dead process
// left is replaced. A living process's socket, a symbolic link and a file of another kind are errors that say what to do.
// The listener's Close removes the file, unless another one is there by then.
func Listen(ctx context.Context, address Address, mode fs.FileMode) (net.Listener, error) {
	if address.Abstract() {
		return listenAbstract(ctx, address)
	}
	path := string(address)
	if err := checkDirectory(filepath.Dir(path)); err != nil {
		return nil, err
	}
	unlock, err := lockDirectory(filepath.Dir(path))
	if err != nil {
		return nil, err
	}
	defer unlock()
	if err := removeStale(ctx, address); err != nil {
		return nil, err
	}
	// On Linux the file is made with the mode that the socket has, so others can't connect before chmod.
	config := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error { return restrict(raw, mode) }}
	bound, err := config.Listen(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", address, err)
	}
	bound.(*net.UnixListener).SetUnlinkOnClose(false)
	made := &listener{Listener: bound, path: path}
	if err := made.setMode(mode); err != nil {
		_ = made.Close()
		return nil, err
	}
	return made, nil
}

func listenAbstract(ctx context.Context, address Address) (net.Listener, error) {
	if runtime.GOOS != "linux" {
		return nil, fmt.Errorf("%s is an abstract socket, which only Linux has: name a path", address)
	}
	bound, err := (&net.ListenConfig{}).Listen(ctx, "unix", string(address))
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("another process listens at %s: stop it, or name another socket", address)
	}
	if err != nil {
		return nil, fmt.Errorf("listening at %s: %w", address, err)
	}
	return bound, nil
}

// checkDirectory refuses a directory that isn't there, and one in which others could put their own socket in the place of
// this one.
func checkDirectory(dir string) error {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("the directory of the socket, %s, is missing; make it: mkdir -p %s", dir, shell.Quote(dir))
	case err != nil:
		return err
	case !info.IsDir():
		return fmt.Errorf("%s is no directory, so no socket can be in it: name another path", dir)
	case info.Mode()&fs.ModeSticky == 0 && info.Mode()&0o002 != 0 && runtime.GOOS != "windows":
		return fmt.Errorf("everybody may write in %s (mode %04o), and so put a socket of their own in the place of this one: chmod o-w %s", dir, info.Mode().Perm(), shell.Quote(dir))
	}
	return nil
}

// removeStale removes the socket that a dead process left.
func removeStale(ctx context.Context, address Address) error {
	path := string(address)
	info, err := os.Lstat(path)
	quoted := shell.Quote(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("%s is a symbolic link, and none is followed here: name the socket itself, or remove the link: rm %s", path, quoted)
	case info.Mode()&fs.ModeSocket == 0:
		return fmt.Errorf("%s is there already and is no socket, so it is not replaced: name another path, or move it away: mv %s %s", path, quoted, shell.Quote(path+".away"))
	}
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	connection, err := address.Dial(ctx)
	switch {
	case err == nil:
		_ = connection.Close()
		return fmt.Errorf("another process listens at %s: stop it, or name another socket", address)
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case errors.Is(err, syscall.ECONNREFUSED):
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("%s was left by a process that has ended, and can't be removed: %w", path, err)
		}
		return nil
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s is the socket of another user: name another path, or remove it if its process has ended: rm %s", path, quoted)
	}
	return fmt.Errorf("%s is there already, and does not tell whether its process still lives (%w): stop the process, or name another socket", address, err)
}

// listener is a socket with a file.
type listener struct {
	net.Listener
	path string
	// made is the file as this process made it.
	made fs.FileInfo
	once sync.Once
	err  error
}

// setMode gives the file its mode, whatever the umask is, and remembers the file.
func (l *listener) setMode(mode fs.FileMode) error {
	info, err := os.Lstat(l.path)
	if err != nil {
		return err
	}
	l.made = info
	if info.Mode().Perm() == mode {
		return nil
	}
	return os.Chmod(l.path, mode)
}

// Close ends the listening and removes the file.
func (l *listener) Close() error {
	l.once.Do(func() {
		if info, err := os.Lstat(l.path); err == nil && l.made != nil && os.SameFile(info, l.made) {
			_ = os.Remove(l.path) // one that stays is replaced by the next start
		}
		l.err = l.Listener.Close()
	})
	return l.err
}
