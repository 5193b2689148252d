package flowcontrol

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"
)

// lull tells when a processor has nothing to run. That is when Go looks at the network, apart from once in 10 ms: while goroutines wait
// for all processors it does not, and new requests are not seen. So a pipe tells: what is written to it is seen at the next look.
type lull struct {
	in, out *os.File
	conn    syscall.RawConn
	// marked says that there is something in the pipe.
	marked bool
}

func newLull() (*lull, error) {
	out, in, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	conn, err := out.SyscallConn()
	return &lull{in: in, out: out, conn: conn}, err
}

// wait returns when a processor has had nothing to run, and what Go saw on the network then has run, too; or after maxTick, since
// the collector of garbage can keep a processor from that.
func (l *lull) wait() {
	if err := l.look(time.Now().Add(maxTick)); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		time.Sleep(tick) // the pipe is broken
	}
	runtime.Gosched()
}

// look waits for a look at the network.
func (l *lull) look(until time.Time) error {
	if err := l.out.SetReadDeadline(until); err != nil {
		return err
	}
	if err := l.drain(); err != nil { // what the last one was too late for
		return err
	}
	// What has been written could be read without a look, so the first call has the second one wait for it.
	var failed error
	err := l.conn.Read(func(uintptr) (done bool) {
		if l.marked {
			return true
		}
		_, failed = l.in.Write([]byte{0})
		l.marked = failed == nil
		return failed != nil
	})
	if err := errors.Join(err, failed); err != nil {
		return err
	}
	return l.drain()
}

// drain reads the mark, if there is one.
func (l *lull) drain() error {
	if !l.marked {
		return nil
	}
	_, err := l.out.Read([]byte{0})
	l.marked = err != nil
	return err
}
