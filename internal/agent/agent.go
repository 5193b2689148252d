package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// Config is what an agent runs with. What a restart needs of it is kept in the state directory.
type Config struct {
	// Server is the URL of the server. Empty stands for that of the last join.
	Server string
	// NodeName is the name of the node. Empty stands for that of the last join.
	NodeName string
	// BootstrapToken is the token of the join. It counts while there is no certificate that the server accepts.
	BootstrapToken string
	// AuthorityHashes are hashes of certificate authorities, one of which the server's has to have.
	AuthorityHashes []string
	// AuthorityFile holds the certificate authorities by which the server is known, in PEM.
	AuthorityFile string
	// RootDir is the directory that the files of pods are below.
	RootDir string
	// StateDir is the directory of the agent's own key and certificate. Empty stands for "state" in RootDir.
	StateDir string
	// HealthAddress is where /livez, /readyz and /metrics are served. Empty means nowhere.
	HealthAddress string
	// UserAgent is sent to the server.
	UserAgent string
	// Once has the agent write all files and end.
	Once bool
	// Renew has all tokens renewed.
	Renew <-chan struct{}
	// Clock is the real one if it is nil.
	Clock clock.WithTicker
}

// Agent keeps the files of one node's pods.
type Agent struct {
	config  Config
	clock   clock.WithTicker
	state   state
	node    string
	client  kubernetes.Interface
	nodeUID types.UID
	metrics *agentMetrics
	// changed has room for one.
	changed chan struct{}

	// mu guards what health reads while the agent starts.
	mu         sync.Mutex
	connection *connection
	keeper     *projectedvolume.Keeper
	// phase is what is waited for, empty once the pods are known.
	phase string
}

const (
	// rootMode is the mode of the root directory: the users of workloads get through it to their files.
	rootMode = 0o755
	// oncePatience bounds how long --once waits for a server, and then for the files.
	oncePatience = time.Minute
	// approvalPatience is how long the renewal of a certificate waits for its approval.
	approvalPatience = 15 * time.Minute
)

// Run runs an agent until the context ends, or until all files are written if config says so. The files stay.
func Run(ctx context.Context, config Config) (err error) {
	if config.RootDir == "" {
		return errors.New("the directory for the files is missing: name one with --root-dir")
	}
	if config.StateDir == "" {
		config.StateDir = filepath.Join(config.RootDir, "state")
	}
	a := &Agent{config: config, clock: config.Clock, metrics: registered(), changed: make(chan struct{}, 1), phase: "joining"}
	if a.clock == nil {
		a.clock = clock.RealClock{}
	}
	if err := makeRoot(config.RootDir); err != nil {
		return fmt.Errorf("the root directory can't be made; name another with --root-dir: %w", err)
	}
	if a.state, err = openState(config.StateDir); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.state.Close()) }()
	if config.HealthAddress != "" && !config.Once {
		stop, err := a.serveHealth(ctx)
		if err != nil {
			return err
		}
		defer stop()
	}
	if err := a.join(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was told to stop
		}
		return err
	}
	defer a.connection.close()
	if a.client, err = a.connection.client(); err != nil {
		return err
	}
	keeper, err := projectedvolume.NewKeeper(projectedvolume.Config{Root: config.RootDir, Client: a.client, Clock: a.clock, Changed: a.noteChange})
	if err != nil {
		return err
	}
	a.mu.Lock()
	a.keeper = keeper
	a.mu.Unlock()
	if config.Once {
		return a.once(ctx)
	}
	return a.keep(ctx)
}

// makeRoot makes the root directory before the state directory in it, so that its mode is not that of the latter. The keeper of the
// volumes checks it later.
func makeRoot(path string) error {
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.MkdirAll(path, rootMode); err != nil {
		return err
	}
	return os.Chmod(path, rootMode)
}

// noteChange wakes what follows the state of the volumes.
func (a *Agent) noteChange() {
	select {
	case a.changed <- struct{}{}:
	default:
	}
}

// keep keeps the files until the context ends.
func (a *Agent) keep(ctx context.Context) error {
	klog.FromContext(ctx).Info("Keeping the files of this node's pods", "node", a.node, "server", a.connection.server.String(), "directory", a.config.RootDir)
	a.setPhase("waiting for the list of this node's pods")
	var work sync.WaitGroup
	work.Go(func() { a.keepCertificate(ctx) })
	work.Go(func() { a.follow(ctx) })
	work.Go(func() { a.renewOnDemand(ctx) })
	work.Go(func() {
		if a.registerPatiently(ctx) {
			a.keepLease(ctx)
		}
	})
	var watchErr error
	work.Go(func() {
		watchErr = a.watchPods(ctx, func(pods int) {
			klog.FromContext(ctx).Info("The pods of this node are known", "node", a.node, "pods", pods)
			a.setPhase("")
		})
	})
	err := a.keeper.Run(ctx)
	work.Wait()
	return errors.Join(err, watchErr)
}

// registerPatiently registers the Node. It reports false if the context ends before.
func (a *Agent) registerPatiently(ctx context.Context) bool {
	for pause := firstPause; ; pause = min(2*pause, lastPause) {
		err := a.register(ctx)
		if err == nil {
			return true
		}
		if ctx.Err() == nil && !a.isToldElsewhere(err) {
			klog.FromContext(ctx).Info("The Node is not registered yet; it is tried again", "node", a.node, "reason", err.Error(), "in", pause)
		}
		if !a.sleep(ctx, pause) {
			return false
		}
	}
}

// renewOnDemand has all tokens renewed whenever it is asked for.
func (a *Agent) renewOnDemand(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-a.config.Renew:
			klog.FromContext(ctx).Info("All tokens are renewed, as asked for")
			a.keeper.RenewAll()
		}
	}
}

func (a *Agent) connected() *connection {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.connection
}

func (a *Agent) setPhase(phase string) {
	a.mu.Lock()
	a.phase = phase
	a.mu.Unlock()
	a.noteChange()
}

// isToldElsewhere reports whether an error is one that the connection itself tells of.
func (a *Agent) isToldElsewhere(err error) bool {
	return apierrors.IsUnauthorized(err) || !isAnswer(err)
}

// isAnswer reports whether an error is an answer of the server.
func isAnswer(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status)
}

// explainAnswer turns an answer to the client certificate into an error that says what to do.
func (a *Agent) explainAnswer(err error) error {
	if apierrors.IsUnauthorized(err) {
		return errRemoved
	}
	return err
}
