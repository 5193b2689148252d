// Package etcd runs the embedded etcd member that holds all of Mintmark's state when no external cluster is named. It
// checks the member's files before a start, makes a snapshot of them once a day, and makes room at the quota.
//
// The member has no network: clients reach it through a Unix socket in the data directory, and peers not at all. It syncs
// its log before it acknowledges a write, so what was acknowledged survives a kill.
package etcd

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.etcd.io/etcd/server/v3/storage/wal"
	"go.uber.org/zap"
)

// startTimeout bounds how long a start may take: replaying a long log from a slow disk is the worst case.
const startTimeout = 2 * time.Minute

// brokenTimeout bounds how long the end of a broken member may take.
const brokenTimeout = 5 * time.Second

// quotaBytes is the largest size of the store. Beyond it etcd refuses writes, so it is set to etcd's own upper advice.
const quotaBytes = 8 << 30

const (
	// catchUpEntries of the log stay in memory, where etcd's default is 5000. They are about as large as what is written.
	catchUpEntries = 100
	// snapshotCount is after how many entries the log begins anew: a start reads so many at most. etcd's default is 10000.
	snapshotCount = 2000
)

// The member's name and the address that stands for it. A snapshot is restored with both.
const (
	memberName = "mintmark"
	peerHost   = "127.0.0.1:2380"
	peerURL    = "http://" + peerHost
)

// Config says where the member keeps its state.
type Config struct {
	// Dir is created if missing and must belong to one member at a time; the caller holds the lock.
	Dir string
	// QuotaBytes is the largest size of the store; 0 means 8 GiB.
	QuotaBytes int64
	// Ephemeral gives up durability for a fast start: nothing is synced to the disk. It is for a store that is removed when
	// the process ends, and for a process in which all stores are such.
	Ephemeral bool
}

// Member is a running embedded etcd.
type Member struct {
	etcd    *embed.Etcd
	dir     string
	sockets *socketDir
	// quiet is set while the member starts and stops, when its warnings call for no action.
	quiet *atomic.Bool
	// failed is where etcd's own goroutines report that they can't go on, and ended delivers why the member ended.
	failed *failure
	ended  chan error
	// broken is set when one of etcd's goroutines has ended early.
	broken atomic.Bool
	quota  *quota
	// stop ends the work beside etcd's, and stopped is closed when it has ended.
	stop    context.CancelFunc
	stopped chan struct{}
}

// Start runs the member and returns when it accepts reads and writes. A store that is damaged is not touched.
func Start(ctx context.Context, cfg Config) (*Member, error) {
	if cfg.QuotaBytes == 0 {
		cfg.QuotaBytes = quotaBytes
	}
	if err := makeDir(cfg.Dir); err != nil {
		return nil, fmt.Errorf("the store's directory can't be made: %w", err)
	}
	unborn, err := check(cfg.Dir)
	if err != nil {
		return nil, explain(cfg.Dir, err)
	}
	if cfg.Ephemeral {
		smallLogs()
	}
	if unborn {
		left := filesOf(cfg.Dir)
		if err := errors.Join(os.RemoveAll(left.log), os.RemoveAll(left.database)); err != nil {
			return nil, fmt.Errorf("what an interrupted first start left of the store can't be removed: %w", err)
		}
	}
	sockets, err := newSocketDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	m := &Member{dir: cfg.Dir, sockets: sockets, quiet: &atomic.Bool{}, failed: newFailure(), ended: make(chan error, 1), stopped: make(chan struct{})}
	m.quiet.Store(true)
	m.etcd, err = startEtcd(embedConfig(cfg, sockets.path, newLogger(m.quiet, m.failed)), m.failed)
	if err != nil {
		sockets.remove()
		return nil, explain(cfg.Dir, fmt.Errorf("the embedded etcd in %s does not start: %w", cfg.Dir, err))
	}
	m.quota = newQuota(m.etcd.Server, cfg.QuotaBytes)
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	background, stop := context.WithCancel(context.WithoutCancel(ctx))
	m.stop = stop
	go m.run(background)
	select {
	case <-m.etcd.Server.ReadyNotify():
		m.quiet.Store(false)
		return m, nil
	case err := <-m.ended:
		m.Close()
		return nil, explain(cfg.Dir, fmt.Errorf("the embedded etcd in %s stopped while starting: %w", cfg.Dir, err))
	case <-ctx.Done():
		m.Close()
		return nil, fmt.Errorf("the embedded etcd in %s did not become ready: %w", cfg.Dir, ctx.Err())
	}
}

// smallLogs makes the segments of the logs of all members in the process small. etcd allocates two of 64 MB for each member,
// which in a file system in memory is memory.
var smallLogs = sync.OnceFunc(func() { wal.SegmentSizeBytes = 4 << 20 })

// startEtcd starts etcd in a goroutine of its own: one in which it finds that it can't go on ends.
func startEtcd(cfg *embed.Config, failed *failure) (*embed.Etcd, error) {
	started := make(chan *embed.Etcd, 1)
	go func() {
		defer func() {
			if recover() != nil {
				failed.set(errors.New("a part of the store can't be read"))
			}
		}()
		running, err := embed.StartEtcd(cfg)
		if err != nil {
			failed.set(err)
			return
		}
		started <- running
	}()
	select {
	case running := <-started:
		return running, nil
	case err := <-failed.reason:
		return nil, err
	}
}

// run watches over the member until the context ends.
func (m *Member) run(ctx context.Context) {
	defer close(m.stopped)
	var work sync.WaitGroup
	work.Go(func() { m.quota.watch(ctx) })
	work.Go(func() { keepSnapshots(ctx, m.dir, m.etcd.Server.Backend) })
	select {
	case err := <-m.etcd.Err():
		m.ended <- err
	case err := <-m.failed.reason:
		m.broken.Store(true)
		m.ended <- err
	case <-ctx.Done():
	}
	work.Wait()
}

// Endpoint is the address under which a client in this machine reaches the member.
func (m *Member) Endpoint() string {
	address := socketURL(m.sockets.path)
	return address.String()
}

// Failed delivers the error that ended the member, if one does.
func (m *Member) Failed() <-chan error { return m.ended }

// Close ends the member after its log is on disk.
func (m *Member) Close() {
	m.quiet.Store(true)
	m.stop()
	<-m.stopped
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		m.etcd.Close()
	}()
	if m.broken.Load() {
		// A goroutine of etcd has ended, and etcd may wait for it. What was acknowledged is on disk.
		select {
		case <-closed:
		case <-time.After(brokenTimeout):
		}
	} else {
		<-closed
	}
	m.sockets.remove()
}

// makeDir makes the store's directory. Its mode does not depend on the umask.
func makeDir(dir string) error {
	if _, err := os.Lstat(dir); err == nil {
		return os.MkdirAll(dir, 0o700)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return os.Chmod(dir, 0o700) //nolint:gosec // a directory, which its owner has to enter
}

func embedConfig(config Config, sockets string, logger *zap.Logger) *embed.Config {
	client := socketURL(sockets)
	// A single member is never called by a peer, so it listens for none. Its own address is a name for it, no more.
	peer := url.URL{Scheme: "http", Host: peerHost}
	cfg := embed.NewConfig()
	cfg.Name = memberName
	cfg.Dir = filepath.Join(config.Dir, "member")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// A single member waits for no votes: with short ticks it elects itself at once. Each tick wakes the process, though, which
	// is most of what an idle server does.
	cfg.TickMs, cfg.ElectionMs = 50, 500
	if config.Ephemeral {
		// A member elects itself after up to ten ticks. More wakes of the process are worth a start that is faster by a quarter of a second.
		cfg.TickMs, cfg.ElectionMs = 5, 25
		cfg.UnsafeNoFsync = true
	}
	cfg.QuotaBackendBytes = config.QuotaBytes
	// No other member fetches entries from this one, so few stored entries stay in memory. Frequent snapshots keep short
	// the part of the log that the next start reads.
	cfg.SnapshotCatchUpEntries, cfg.SnapshotCount = catchUpEntries, snapshotCount
	// The API server compacts history itself (--etcd-compaction-interval), as kube-apiserver does.
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "0"
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	return cfg
}
