package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	startTimeout = 10 * time.Minute
	// stopTimeout is how long a process may take to end by itself.
	stopTimeout = 15 * time.Second
	// endTimeout is how long it may take to be told that a process has ended, after its connections have.
	endTimeout = time.Second
	pollPeriod = 10 * time.Millisecond
	// logTail is how much of a log is shown when a start failed.
	logTail = 2000
)

// process is a server that this program has started.
type process struct {
	pid    int
	cancel context.CancelFunc
	// end kills it.
	end func()
	// done is closed when the process has ended.
	done chan struct{}
}

// start runs a command until stop. The end of ctx stops it as well.
func start(ctx context.Context, configure func(*exec.Cmd), program string, args ...string) (*process, error) {
	ctx, cancel := context.WithCancel(ctx)
	cmd := exec.CommandContext(ctx, program, args...) //nolint:gosec // G204: the flags of the benchmark name the program
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = stopTimeout // and then it is killed
	configure(cmd)
	if err := cmd.Start(); err != nil {
		cancel()
		return nil, err
	}
	p := &process{pid: cmd.Process.Pid, cancel: cancel, end: func() { _ = cmd.Process.Kill() }, done: make(chan struct{})}
	go func() {
		_ = cmd.Wait() // its log says more
		close(p.done)
	}()
	return p, nil
}

// stop ends the process and returns when it has ended.
func (p *process) stop() {
	p.cancel()
	<-p.done
}

// build makes the binary to be measured, of the module that the working directory is in.
func build(ctx context.Context, to string, log io.Writer) error {
	cmd := exec.CommandContext(ctx, "go", "build", "-o", to, "github.com/mintmark/mintmark/cmd/mintmark") //nolint:gosec // G204: the file is in a directory made for it
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("building the server (in the working directory; --binary names one that is built already): %w", err)
	}
	return nil
}

// startServer runs a server with a port and a data directory of its own.
func startServer(ctx context.Context, binary, dataDir string, flags []string) (*process, *rest.Config, error) {
	log, err := os.Create(logOf(dataDir))
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	p, err := start(ctx, func(cmd *exec.Cmd) { cmd.Stdout, cmd.Stderr = log, log },
		binary, append([]string{"serve", "--data-dir", dataDir, "--secure-port", "0"}, flags...)...)
	if err != nil {
		return nil, nil, err
	}
	config, err := p.ready(ctx, filepath.Join(dataDir, "admin.kubeconfig"))
	if err != nil {
		err = fmt.Errorf("starting %s: %w", binary, p.explain(err, logOf(dataDir)))
		p.stop()
		return nil, nil, err
	}
	return p, config, nil
}

// logOf is where the server of a data directory writes.
func logOf(dataDir string) string { return dataDir + ".log" }

// explain adds to an error that the process has ended, if it has, and what it said last.
func (p *process) explain(err error, logFile string) error {
	select {
	case <-p.done:
		return fmt.Errorf("%w; the process has ended: %s", err, tail(logFile))
	case <-time.After(endTimeout):
		return err
	}
}

// ready waits until a server is, and returns its administrator's connection.
func (p *process) ready(ctx context.Context, kubeconfig string) (*rest.Config, error) {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	ticker := time.NewTicker(pollPeriod)
	defer ticker.Stop()
	for {
		config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
		if err == nil {
			err = isReady(ctx, config)
		}
		if err == nil {
			return config, nil
		}
		select {
		case <-ticker.C:
		case <-p.done:
			return nil, errors.New("it never was ready")
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ctx.Err(), err)
		}
	}
}

func isReady(ctx context.Context, config *rest.Config) error {
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return err
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, config.Host+"/readyz", http.NoBody)
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	if err := response.Body.Close(); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("/readyz answers %s", response.Status)
	}
	return nil
}

// kill ends the process as kill -9 does, and returns when it has ended.
func (p *process) kill() {
	p.end()
	<-p.done
	p.cancel()
}

func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(text[max(0, len(text)-logTail):]))
}

// floorProcess is the floor, seen from the one who started it.
type floorProcess struct {
	*process
	url      string
	commands *json.Encoder
	replies  *json.Decoder
}

// startFloor runs this program as the floor, with a serving certificate from files. What it complains about goes to a
// file.
func startFloor(ctx context.Context, certFile, keyFile, logFile string) (*floorProcess, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	log, err := os.Create(logFile)
	if err != nil {
		return nil, err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	f := &floorProcess{}
	var broken error
	f.process, err = start(ctx, func(cmd *exec.Cmd) {
		in, inErr := cmd.StdinPipe()
		out, outErr := cmd.StdoutPipe()
		cmd.Stderr = log
		broken = errors.Join(inErr, outErr)
		f.commands, f.replies = json.NewEncoder(in), json.NewDecoder(out)
	}, self, floorCommand, "--cert", certFile, "--key", keyFile)
	if err == nil {
		err = broken
	}
	if err != nil {
		return nil, fmt.Errorf("starting the floor: %w", err)
	}
	if err := f.replies.Decode(&f.url); err != nil {
		err = fmt.Errorf("starting the floor: %w", f.explain(err, logFile))
		f.stop()
		return nil, err
	}
	return f, nil
}

// sends has the floor send an answer from now on: status, headers and body of another server's.
func (f *floorProcess) sends(a answer) error {
	a.Header = a.Header.Clone()
	a.Header.Del("Date") // the library's server writes it, as it does in the other server
	if err := f.commands.Encode(a); err != nil {
		return fmt.Errorf("telling the floor what to answer: %w", err)
	}
	if err := f.replies.Decode(&f.url); err != nil {
		return fmt.Errorf("telling the floor what to answer: %w", err)
	}
	return nil
}
