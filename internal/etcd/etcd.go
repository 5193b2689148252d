// Package etcd runs the embedded etcd member that holds all of Mintmark's state when no external cluster is named.
//
// The member has no network: clients reach it through a Unix socket in the data directory, and peers not at all. It syncs
// its log before it acknowledges a write, so what was acknowledged survives a kill.
package etcd

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"
)

// startTimeout bounds how long a start may take: replaying a long log from a slow disk is the worst case.
const startTimeout = 2 * time.Minute

// quotaBytes is the largest size of the store. Beyond it etcd refuses writes, so it is set to etcd's own upper advice.
const quotaBytes = 8 << 30

const (
	// catchUpEntries of the log stay in memory, where etcd's default is 5000. They are about as large as what is written.
	catchUpEntries = 100
	// snapshotCount is after how many entries the log begins anew: a start reads so many at most. etcd's default is 10000.
	snapshotCount = 2000
)

// Config says where the member keeps its state.
type Config struct {
	// Dir is created if missing and must belong to one member at a time; the caller holds the lock.
	Dir string
}

// Member is a running embedded etcd.
type Member struct {
	etcd    *embed.Etcd
	sockets *socketDir
	// quiet is set while the member starts and stops, when it warns of what is only on its way.
	quiet *atomic.Bool
}

// Start runs the member and returns when it accepts reads and writes.
func Start(ctx context.Context, cfg Config) (*Member, error) {
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("the store's directory can't be made: %w", err)
	}
	sockets, err := newSocketDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	quiet := &atomic.Bool{}
	quiet.Store(true)
	running, err := embed.StartEtcd(embedConfig(cfg.Dir, sockets.path, newLogger(quiet)))
	if err != nil {
		sockets.remove()
		return nil, fmt.Errorf("the embedded etcd in %s does not start: %w", cfg.Dir, err)
	}
	m := &Member{etcd: running, sockets: sockets, quiet: quiet}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	select {
	case <-running.Server.ReadyNotify():
		quiet.Store(false)
		return m, nil
	case err := <-running.Err():
		m.Close()
		return nil, fmt.Errorf("the embedded etcd in %s stopped while starting: %w", cfg.Dir, err)
	case <-ctx.Done():
		m.Close()
		return nil, fmt.Errorf("the embedded etcd in %s did not become ready: %w", cfg.Dir, ctx.Err())
	}
}

// Endpoint is the address under which a client in this machine reaches the member.
func (m *Member) Endpoint() string {
	address := socketURL(m.sockets.path)
	return address.String()
}

// Failed delivers the error that ended the member, if one does.
func (m *Member) Failed() <-chan error { return m.etcd.Err() }

// Close ends the member after its log is on disk.
func (m *Member) Close() {
	m.quiet.Store(true)
	m.etcd.Close()
	m.sockets.remove()
}

func embedConfig(dir, sockets string, logger *zap.Logger) *embed.Config {
	client := socketURL(sockets)
	// A single member is never called by a peer, so it listens for none. Its own address is a name for it, no more.
	peer := url.URL{Scheme: "http", Host: "127.0.0.1:2380"}
	cfg := embed.NewConfig()
	cfg.Name = "mintmark"
	cfg.Dir = filepath.Join(dir, "member")
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{client}, []url.URL{client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = nil, []url.URL{peer}
	cfg.InitialCluster = cfg.Name + "=" + peer.String()
	// One member has nobody to wait for: with short ticks it elects itself at once.
	cfg.TickMs, cfg.ElectionMs = 10, 100
	cfg.QuotaBackendBytes = quotaBytes
	// Nor is there anybody to catch up with it: entries that are stored need not stay in memory, and what is in a snapshot
	// need not be read again at the next start.
	cfg.SnapshotCatchUpEntries, cfg.SnapshotCount = catchUpEntries, snapshotCount
	// The API server compacts history itself (--etcd-compaction-interval), as kube-apiserver does.
	cfg.AutoCompactionMode = embed.CompactorModePeriodic
	cfg.AutoCompactionRetention = "0"
	cfg.EnableGRPCGateway = false
	cfg.ZapLoggerBuilder = embed.NewZapLoggerBuilder(logger)
	return cfg
}
