package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/pflag"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/embed"
	"go.uber.org/zap"

	"github.com/mintmark/mintmark/internal/datadir"
)

const (
	// etcdCommand is the name under which this program runs as a member of an etcd cluster.
	etcdCommand = "etcd"
	// etcdQuota is the largest store of a member, and etcdStart how long a member may take to be ready.
	etcdQuota = 8 << 30
	etcdStart = 2 * time.Minute
)

// memberFlags are the flags of a member: its name, its directory, its URLs, and name=peer URL of all members.
type memberFlags struct{ name, dir, client, peer, cluster string }

func (f *memberFlags) args() []string {
	return []string{etcdCommand, "--name", f.name, "--dir", f.dir, "--client", f.client, "--peer", f.peer, "--cluster", f.cluster}
}

// runEtcd is a member with etcd's own defaults until its input ends, so that it never outlives its parent process. It tells
// its client URL on its output when it is ready.
func runEtcd(ctx context.Context, args []string, s streams) error {
	var f memberFlags
	flags := pflag.NewFlagSet(etcdCommand, pflag.ContinueOnError)
	flags.StringVar(&f.name, "name", "", "name of the member")
	flags.StringVar(&f.dir, "dir", "", "directory")
	flags.StringVar(&f.client, "client", "", "URL for clients")
	flags.StringVar(&f.peer, "peer", "", "URL for peers")
	flags.StringVar(&f.cluster, "cluster", "", "name=URL of all members")
	if err := flags.Parse(args); err != nil {
		return err
	}
	cfg, err := f.config()
	if err != nil {
		return err
	}
	member, err := embed.StartEtcd(cfg)
	if err != nil {
		return err
	}
	defer member.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_, _ = io.Copy(io.Discard, s.in) // any end of the input is the end
	}()
	select {
	case <-member.Server.ReadyNotify():
	case err := <-member.Err():
		return err
	case <-ended:
		return nil
	case <-ctx.Done():
		return nil
	}
	if err := json.NewEncoder(s.out).Encode(f.client); err != nil {
		return err
	}
	select {
	case err = <-member.Err():
	case <-ended:
	case <-ctx.Done():
	}
	return err
}

func (f *memberFlags) config() (*embed.Config, error) {
	client, clientErr := url.Parse(f.client)
	peer, peerErr := url.Parse(f.peer)
	if err := errors.Join(clientErr, peerErr); err != nil {
		return nil, err
	}
	cfg := embed.NewConfig()
	cfg.Name, cfg.Dir, cfg.InitialCluster = f.name, f.dir, f.cluster
	cfg.ListenClientUrls, cfg.AdvertiseClientUrls = []url.URL{*client}, []url.URL{*client}
	cfg.ListenPeerUrls, cfg.AdvertisePeerUrls = []url.URL{*peer}, []url.URL{*peer}
	cfg.QuotaBackendBytes = etcdQuota
	cfg.EnableGRPCGateway = false
	cfg.LogLevel = zap.ErrorLevel.String()
	return cfg, nil
}

// cluster is an etcd whose members are processes of this program.
type cluster struct{ members []*member }

// member is one of them.
type member struct {
	*process
	memberFlags
}

// startCluster runs an etcd of n members in a directory. Stop ends it.
func startCluster(ctx context.Context, dir string, n int) (*cluster, error) {
	c := &cluster{}
	var all []string
	for i := range n {
		urls, err := freeURLs(ctx, 2)
		if err != nil {
			return nil, err
		}
		name := fmt.Sprintf("member-%d", i)
		all = append(all, name+"="+urls[1])
		c.members = append(c.members, &member{memberFlags: memberFlags{name: name, dir: filepath.Join(dir, name), client: urls[0], peer: urls[1]}})
	}
	ready := make(chan error, n)
	for _, m := range c.members {
		m.cluster = strings.Join(all, ",")
		go func() { ready <- m.start(ctx) }()
	}
	var errs []error
	for range n {
		errs = append(errs, <-ready)
	}
	if err := errors.Join(errs...); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

// start runs the member until it is ready.
func (m *member) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(m.dir), 0o700); err != nil {
		return err
	}
	log, err := os.OpenFile(logOf(m.dir), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }() // the process has its own handle
	var out io.Reader
	var broken error
	m.process, err = start(ctx, func(cmd *exec.Cmd) {
		_, inErr := cmd.StdinPipe() // which ends with this process
		var outErr error
		out, outErr = cmd.StdoutPipe()
		broken, cmd.Stderr = errors.Join(inErr, outErr), log
	}, self, m.args()...)
	if err = errors.Join(err, broken); err != nil {
		return fmt.Errorf("starting etcd: %w", err)
	}
	told := make(chan error, 1)
	go func() {
		var url string
		told <- json.NewDecoder(out).Decode(&url)
	}()
	select {
	case err = <-told:
	case <-time.After(etcdStart):
		err = errors.New("it is not ready in time")
	}
	if err != nil {
		return fmt.Errorf("starting etcd: %w", m.explain(err, logOf(m.dir)))
	}
	return nil
}

func (c *cluster) stop() {
	for _, m := range c.members {
		if m.process != nil {
			m.process.stop()
		}
	}
}

// urls are the addresses for clients.
func (c *cluster) urls() (urls []string) {
	for _, m := range c.members {
		urls = append(urls, m.client)
	}
	return urls
}

// freeURLs returns URLs of free ports.
func freeURLs(ctx context.Context, n int) (urls []string, err error) {
	for range n {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = listener.Close() }()
		urls = append(urls, "http://"+listener.Addr().String())
	}
	return urls, nil
}

// shareKey gives a data directory the key with which the servers over one etcd encrypt their private keys there.
func shareKey(dataDir string) error {
	if err := os.MkdirAll(dataDir, 0o700); err != nil {
		return err
	}
	key := base64.StdEncoding.EncodeToString(make([]byte, keySize))
	return os.WriteFile(filepath.Join(dataDir, datadir.KeyEncryptionKey), []byte(key), 0o600)
}

// keySize is the size of that key.
const keySize = 32

// etcdClient returns a client of an etcd.
func etcdClient(endpoints ...string) (*clientv3.Client, error) {
	return clientv3.New(clientv3.Config{Endpoints: endpoints, Logger: zap.NewNop()})
}
