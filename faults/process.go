package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end when it is asked to.
const stopTimeout = 20 * time.Second

// process is a program that is killed, paused and started again.
type process struct {
	program string
	args    []string
	logFile string

	cmd    *exec.Cmd
	done   chan struct{}
	paused atomic.Bool
}

// start runs the program. What it writes is added to its log.
func (p *process) start() error {
	log, err := os.OpenFile(p.logFile, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	cmd := exec.Command(p.program, p.args...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = ownGroup()
	done, started := make(chan struct{}), make(chan error)
	go func() {
		// The process ends with the thread that started it, so that none is left over when this program is killed.
		runtime.LockOSThread()
		defer close(done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // its log says more
		}
	}()
	if err := <-started; err != nil {
		return err
	}
	p.cmd, p.done = cmd, done
	p.paused.Store(false)
	return nil
}

// kill ends the process at once, as a crash of its machine does.
func (p *process) kill() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGKILL) // an ended process is what is wanted
	<-p.done
}

// stop asks the process to end, and kills it if it does not.
func (p *process) stop() {
	if p.cmd == nil {
		return
	}
	_ = p.cmd.Process.Signal(syscall.SIGCONT)
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.kill()
	}
}

func (p *process) pause() error {
	p.paused.Store(true)
	return p.cmd.Process.Signal(syscall.SIGSTOP)
}

func (p *process) resume() error {
	p.paused.Store(false)
	return p.cmd.Process.Signal(syscall.SIGCONT)
}

// ended tells whether the process has ended by itself.
func (p *process) ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// build makes the server, of the module that the working directory is in.
func build(ctx context.Context, to string, log io.Writer) error {
	// As releases are built, and as .ci/run compiles everything else: the packages are in the cache by then.
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-o", to, "github.com/mintmark/mintmark/cmd/mintmark")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the server (in the working directory; -binary names one that is built already): %w", err)
	}
	return nil
}

// freePorts returns ports of the loopback address that no other process listens on.
func freePorts(n int) ([]string, error) {
	ports := make([]string, n)
	for i := range ports {
		listener, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }() // after all of them are found, so that they differ
		ports[i] = strconv.Itoa(listener.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
