package externaljwt_test

import (
	"context"
	"net"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/mintmark/mintmark/internal/unixsocket"
)

// dialAs connects as another user. The thread that does so is thrown away.
func dialAs(ctx context.Context, address unixsocket.Address, uid int) (net.Conn, error) {
	type result struct {
		connection net.Conn
		err        error
	}
	done := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked
		if _, _, errno := syscall.RawSyscall(unix.SYS_SETRESUID, ^uintptr(0), uintptr(uid), ^uintptr(0)); errno != 0 {
			done <- result{err: errno}
			return
		}
		// The net package connects a Unix socket in the calling goroutine, and so in this thread.
		connection, err := address.Dial(ctx)
		done <- result{connection, err}
	}()
	got := <-done
	return got.connection, got.err
}
