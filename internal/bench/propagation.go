package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
)

// propagationCommand has the program measure how long an end takes from one replica to another.
const propagationCommand = "propagation"

const (
	// members is how many etcd servers there are.
	members = 3
	// seenTimeout is how long the other replica may take to refuse a token.
	seenTimeout = 30 * time.Second
	// pauseBetween is the longest pause between two ends. Its length is random, so that ends don't fall in step with timers.
	pauseBetween = 40 * time.Millisecond
)

// propagation is the flags of that command.
type propagation struct {
	binary   string
	flags    []string
	replicas int
	// ends is how many tokens of each kind end while all is well, and kills how often the leader of etcd is killed.
	ends, kills int
	// after is how long ends are measured after the leader was killed.
	after time.Duration
	// etcdDir is where the servers of etcd have their files.
	etcdDir string
	write   string
}

const propagationUsage = `Usage: bench propagation [flags]

Measures how long after one replica has acknowledged a deletion, or a revocation, another one refuses the token: with three
servers of etcd, while all is well and after the leader of etcd was killed. The working directory is the module's, unless
--binary is given.

`

func parsePropagationFlags(args []string, out io.Writer) (*propagation, error) {
	o := &propagation{}
	fs := pflag.NewFlagSet(propagationCommand, pflag.ContinueOnError)
	fs.SortFlags = false
	fs.SetOutput(out)
	fs.Usage = func() { _, _ = fmt.Fprint(out, propagationUsage+fs.FlagUsages()) }
	fs.StringVar(&o.binary, "binary", "", "the mintmark to measure. Default: one that is built for it")
	fs.StringArrayVar(&o.flags, "server-flag", nil, "flag to start it with; may be repeated. Default: its defaults")
	fs.IntVar(&o.replicas, "replicas", 3, "how many replicas there are")
	fs.IntVar(&o.ends, "ends", 1000, "how many tokens are ended in each way while all is well")
	fs.IntVar(&o.kills, "kills", 10, "how often the leader of etcd is killed")
	fs.DurationVar(&o.after, "after", 4*time.Second, "how long after that tokens are ended")
	fs.StringVar(&o.etcdDir, "etcd-dir", "", "directory for the files of etcd, such as /dev/shm to leave the disk out. Default: a temporary one")
	fs.StringVar(&o.write, "write", "", "file to write the figures into, as they are in docs/performance.md")
	if err := fs.Parse(args); err != nil {
		return nil, err
	}
	switch {
	case fs.NArg() > 0:
		return nil, fmt.Errorf("there are no arguments, only flags: %q", fs.Args())
	case o.replicas < 2:
		return nil, errors.New("--replicas: at least two are needed")
	case o.ends < 1 || o.kills < 0 || o.after <= 0:
		return nil, errors.New("--ends, --kills, --after: nothing would be measured")
	}
	return o, nil
}

// runPropagation is the command.
func runPropagation(ctx context.Context, args []string, s streams) error {
	o, err := parsePropagationFlags(args, s.out)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	return inDir(ctx, func(dir string) error { return o.present(ctx, dir, args, s) })
}

// present measures, and prints and writes what it found.
func (o *propagation) present(ctx context.Context, dir string, args []string, s streams) error {
	since, err := utilization()
	if err != nil {
		return err
	}
	found := figures{part: propagationPart}
	if o.etcdDir != "" {
		found.part = propagationInMemoryPart
	}
	if found.table, err = o.measure(ctx, dir, s.err); err != nil {
		return err
	}
	if found.busy, err = since(); err != nil {
		return err
	}
	return found.present(s.out, o.write, o.binary, append([]string{propagationCommand}, args...))
}

// measure starts everything, and ends one token after the other.
func (o *propagation) measure(ctx context.Context, dir string, log io.Writer) (table string, err error) {
	if o.binary == "" {
		o.binary = filepath.Join(dir, serverName)
		if err := build(ctx, o.binary, log); err != nil {
			return "", err
		}
	}
	stores, err := os.MkdirTemp(cmp.Or(o.etcdDir, dir), "mintmark-bench-etcd-")
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(stores)) }() //nolint:gosec // G703: the directory was made above
	store, err := startCluster(ctx, stores, members)
	if err != nil {
		return "", err
	}
	defer store.stop()
	w := &waves{propagation: o, store: store, log: log}
	defer w.stop()
	for i := range o.replicas {
		flags := append(slices.Clone(o.flags), "--etcd-servers="+strings.Join(store.urls(), ","))
		dataDir := filepath.Join(dir, fmt.Sprintf("replica-%d", i))
		if err := shareKey(dataDir); err != nil {
			return "", err
		}
		server, admin, err := startServer(ctx, o.binary, dataDir, flags)
		if err != nil {
			return "", err
		}
		w.servers = append(w.servers, server)
		one, err := newReplica(admin)
		if err != nil {
			return "", err
		}
		w.replicas = append(w.replicas, one)
	}
	if err := w.healthy(ctx); err != nil {
		return "", err
	}
	for n := range o.kills {
		if err := w.afterKill(ctx, n); err != nil {
			return "", err
		}
	}
	return spreadTable(w.found), nil
}

// waves ends tokens, and keeps what was seen of it.
type waves struct {
	*propagation
	store    *cluster
	servers  []*process
	replicas []*replica
	log      io.Writer
	found    []*spread
}

func (w *waves) stop() {
	for _, server := range w.servers {
		server.stop()
	}
}

// of returns the spread of that name.
func (w *waves) of(name string) *spread {
	for _, s := range w.found {
		if s.name == name {
			return s
		}
	}
	w.found = append(w.found, &spread{name: name})
	return w.found[len(w.found)-1]
}

// ways are the ways in which a token ends.
var ways = []struct {
	name string
	end  func(ctx context.Context, by *replica, t *lived) error
}{
	{"revoked", func(ctx context.Context, by *replica, t *lived) error { return by.revoke(ctx, t.token) }},
	{"account deleted", func(ctx context.Context, by *replica, t *lived) error { return by.remove(ctx, t.account) }},
}

func (w *waves) healthy(ctx context.Context) error {
	if _, err := fmt.Fprintf(w.log, "ending %d tokens in each way\n", w.ends); err != nil {
		return err
	}
	alone, events := w.of("etcd alone: stored through one server, told by a watch on another"), w.of("a review of the token by the other replica")
	if err := w.store.propagate(ctx, w.ends, alone); err != nil {
		return err
	}
	for range w.ends {
		for _, way := range ways {
			if err := w.one(ctx, way.end, w.of(way.name), events); err != nil {
				return err
			}
		}
	}
	return nil
}

// afterKill kills the leader of etcd, ends tokens for a while, and has it come back.
func (w *waves) afterKill(ctx context.Context, n int) error {
	leader, err := w.store.leader(ctx)
	if err != nil {
		return err
	}
	if _, err := fmt.Fprintf(w.log, "killing the leader of etcd, time %d\n", n+1); err != nil {
		return err
	}
	leader.kill()
	for end := time.Now().Add(w.after); time.Now().Before(end); {
		for _, way := range ways {
			if err := w.one(ctx, way.end, w.of(way.name+", the leader of etcd killed"), nil); err != nil {
				return err
			}
		}
	}
	if err := leader.start(ctx); err != nil {
		return err
	}
	return w.store.whole(ctx)
}

// one makes a token, has one replica end it and another one review it until it is refused. A request that fails because the
// store has no leader is made again.
func (w *waves) one(ctx context.Context, end func(context.Context, *replica, *lived) error, to, reviews *spread) error {
	order := rand.Perm(len(w.replicas)) //nolint:gosec // G404: no secret
	ender, reviewer := w.replicas[order[0]], w.replicas[order[1]]
	var token *lived
	err := insist(ctx, func() (err error) {
		token, err = ender.live(ctx)
		return err
	})
	if err != nil {
		return err
	}
	if err := insist(ctx, func() error { return reviewer.accepts(ctx, token) }); err != nil {
		return err
	}
	for range 3 { // warm
		began := time.Now()
		if _, err := reviewer.review(ctx, token); err == nil && reviews != nil {
			reviews.times = append(reviews.times, time.Since(began))
		}
	}
	time.Sleep(rand.N(pauseBetween)) //nolint:gosec // G404: no secret
	if err := insist(ctx, func() error { return end(ctx, ender, token) }); err != nil {
		return err
	}
	acknowledged := time.Now()
	for {
		good, err := reviewer.review(ctx, token)
		if err == nil && !good {
			to.times = append(to.times, time.Since(acknowledged))
			return nil
		}
		if time.Since(acknowledged) > seenTimeout {
			return fmt.Errorf("the other replica does not refuse the token (%w)", errors.Join(err, ctx.Err()))
		}
	}
}

// insist calls until there is no error.
func insist(ctx context.Context, call func() error) error {
	for end := time.Now().Add(seenTimeout); ; {
		err := call()
		if err == nil || time.Now().After(end) || ctx.Err() != nil {
			return err
		}
	}
}
