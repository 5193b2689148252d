package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
)

const (
	members  = 3
	replicas = 3
	// maxStaleness is the bound that the servers are started with.
	maxStaleness = 6 * time.Second
	// leadTime is how long a signing key is published before it signs.
	leadTime = 5 * time.Second
	// quotaBytes is the largest size of the store, which one of the faults reaches.
	quotaBytes = 48 << 20
	// readyTimeout is how long a server or the store may take to answer after a fault has ended.
	readyTimeout = time.Minute
	// adminToken is accepted by the servers of a run, which listen on loopback and end with it.
	adminToken = "faults-admin"
)

// site is three etcd members and three servers, each of which reaches each member by a line of its own.
type site struct {
	dir      string
	members  []*process
	peers    string
	etcd     *clientv3.Client
	clients  []string
	replicas []*replica
}

// replica is one of the servers.
type replica struct {
	name    string
	process *process
	lines   []*line
	client  *client
	dataDir string

	// disturbed counts the faults that concern it now, and calmSince is when the last one ended, in nanoseconds.
	mu        sync.Mutex
	disturbed int
	calmSince time.Time
	// skew is by how much its clock is ahead.
	skew time.Duration
	// starts counts how often it was started.
	starts atomic.Int64
}

// disturb notes that a fault begins. The function that it returns notes the end.
func (r *replica) disturb() func() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.disturbed++
	return sync.OnceFunc(func() {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.disturbed--
		r.calmSince = time.Now()
	})
}

// setLines changes the state of all lines between the server and etcd.
func (r *replica) setLines(state lineState) {
	for _, l := range r.lines {
		l.set(state)
	}
}

// calmSinceBefore tells whether no fault has concerned the replica since an instant, nor in the time that it needs to settle.
func (r *replica) calmSinceBefore(instant time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.disturbed == 0 && instant.Sub(r.calmSince) > settleTime
}

// newSite starts everything and returns when it answers.
func newSite(ctx context.Context, binary, dir string, plant *plant) (_ *site, err error) {
	s := &site{dir: dir}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.startMembers(ctx); err != nil {
		return nil, err
	}
	shared, err := sharedFiles(dir)
	if err != nil {
		return nil, err
	}
	for i := range replicas {
		r := &replica{name: "replica-" + strconv.Itoa(i), dataDir: filepath.Join(dir, "replica-"+strconv.Itoa(i))}
		s.replicas = append(s.replicas, r)
		servers := make([]string, members)
		for j, behind := range s.clients {
			l, err := newLine(behind)
			if err != nil {
				return nil, err
			}
			r.lines, servers[j] = append(r.lines, l), "http://"+l.address
		}
		ports, err := freePorts(1)
		if err != nil {
			return nil, err
		}
		r.process = &process{program: binary, logFile: r.dataDir + ".log", args: append([]string{
			"serve", "--data-dir", r.dataDir, "--secure-port", ports[0], "--etcd-servers", strings.Join(servers, ","),
		}, shared...)}
		if err := r.process.start(); err != nil {
			return nil, err
		}
		r.starts.Add(1)
		r.client = newClient("https://127.0.0.1:"+ports[0], r.dataDir, plant.transport(r))
		// The first server makes what all of them share.
		if err := r.waitUntilReady(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *site) startMembers(ctx context.Context) error {
	ports, err := freePorts(2 * members)
	if err != nil {
		return err
	}
	var initial []string
	for i := range members {
		initial = append(initial, fmt.Sprintf("member-%d=http://127.0.0.1:%s", i, ports[members+i]))
		s.clients = append(s.clients, "127.0.0.1:"+ports[i])
	}
	s.peers = strings.Join(initial, ",")
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	for i := range members {
		name := "member-" + strconv.Itoa(i)
		p := &process{program: self, logFile: filepath.Join(s.dir, name+".log"), args: []string{
			memberCommand, "--name", name, "--dir", s.memberDir(i), "--client", s.clients[i],
			"--peer", "127.0.0.1:" + ports[members+i], "--cluster", s.peers, "--quota", strconv.Itoa(quotaBytes),
		}}
		s.members = append(s.members, p)
		if err := p.start(); err != nil {
			return err
		}
	}
	s.etcd, err = clientv3.New(clientv3.Config{Endpoints: s.clients, DialTimeout: readyTimeout, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	return s.waitForStore(ctx)
}

func (s *site) memberDir(i int) string { return filepath.Join(s.dir, "member-"+strconv.Itoa(i)) }

// waitForStore returns when the store takes a write.
func (s *site) waitForStore(ctx context.Context) error {
	return wait(ctx, "etcd takes a write", func(ctx context.Context) error {
		_, err := s.etcd.Put(ctx, "faults", time.Now().String())
		return err
	})
}

// leader returns which member leads.
func (s *site) leader(ctx context.Context) (int, error) {
	for i, endpoint := range s.clients {
		ctx, cancel := context.WithTimeout(ctx, time.Second)
		status, err := s.etcd.Status(ctx, endpoint)
		cancel()
		if err == nil && status.Leader == status.Header.MemberId {
			return i, nil
		}
	}
	return 0, errors.New("no etcd member leads")
}

// sharedFiles makes what all servers are started with.
func sharedFiles(dir string) ([]string, error) {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // it never fails
	files := map[string]string{
		"tokens.csv": adminToken + ",faults-admin,faults-admin,system:masters\n",
		"encryption.yaml": "apiVersion: apiserver.config.k8s.io/v1\nkind: EncryptionConfiguration\nresources:\n" +
			"- resources: [secrets, signingkeys.mintmark.io]\n  providers:\n  - secretbox:\n      keys:\n" +
			"      - {name: one, secret: " + base64.StdEncoding.EncodeToString(key) + "}\n",
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			return nil, err
		}
	}
	return []string{
		"--token-auth-file", filepath.Join(dir, "tokens.csv"),
		"--encryption-provider-config", filepath.Join(dir, "encryption.yaml"),
		"--service-account-issuer", "https://faults.example",
		"--max-staleness", maxStaleness.String(), "--signing-key-lead-time", leadTime.String(),
	}, nil
}

// waitUntilReady returns when the server is.
func (r *replica) waitUntilReady(ctx context.Context) error {
	err := wait(ctx, r.name+" is ready", func(ctx context.Context) error {
		if r.process.ended() {
			return errEnded
		}
		return r.client.ready(ctx)
	})
	if err != nil {
		return fmt.Errorf("%w; it said: %s", err, tail(r.process.logFile))
	}
	return nil
}

// restart starts a server that was killed.
func (r *replica) restart(ctx context.Context) error {
	if err := r.process.start(); err != nil {
		return err
	}
	r.starts.Add(1)
	return r.waitUntilReady(ctx)
}

func (s *site) close() {
	for _, r := range s.replicas {
		if r.process != nil {
			r.process.stop()
		}
		for _, l := range r.lines {
			l.close()
		}
	}
	if s.etcd != nil {
		_ = s.etcd.Close() // there is nothing to lose
	}
	for _, m := range s.members {
		m.kill()
	}
}

// errEnded says that a process ended by itself.
var errEnded = errors.New("the process has ended")

// wait tries something until it succeeds. Each attempt has longer than the one before, since a list takes its time on a busy machine.
func wait(ctx context.Context, what string, try func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	for patience := 3 * time.Second; ; patience *= 2 {
		once, done := context.WithTimeout(ctx, patience)
		err := try(once)
		done()
		if err == nil {
			return nil
		}
		if errors.Is(err, errEnded) {
			return fmt.Errorf("waiting until %s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting until %s: %w (%w)", what, ctx.Err(), err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// tail returns the end of a log.
func tail(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return ""
	}
	return string(bytes.TrimSpace(text[max(0, len(text)-2000):]))
}
