package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/spf13/pflag"
)

// overloadCommand has the program send more requests than a server can answer.
const overloadCommand = "overload"

const (
	// politeCallers ask politeRate times a second together, and have a connection each.
	politeCallers, politeRate = 4, 100
	// manyCallers share an overload evenly.
	manyCallers = 20
	// capacityWorkers is how many requests are out at once while the capacity is measured.
	capacityWorkers = 32
	// refusedConnections is how many connections callers with wrong credentials, or without the right, have.
	refusedConnections = 16
	// maxMemory is how much the load generator may have.
	maxMemory = 4 << 30
	// slowFactor is how many times the unloaded p99 an answer may take.
	slowFactor = 10
)

// runOverload is the command.
func runOverload(ctx context.Context, args []string, s streams) error {
	o, err := parseOverloadFlags(args, s.out)
	if errors.Is(err, pflag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := checkProc(); err != nil {
		return err
	}
	return inDir(ctx, func(dir string) error {
		since, err := utilization()
		if err != nil {
			return err
		}
		found := figures{part: overloadPart}
		if found.table, err = o.measure(ctx, dir, s.err); err != nil {
			return err
		}
		if found.busy, err = since(); err != nil {
			return err
		}
		return found.present(s.out, o.write, o.binary, append([]string{overloadCommand}, args...))
	})
}

// measure starts a server and overloads it.
func (o *overload) measure(ctx context.Context, dir string, log io.Writer) (string, error) {
	if o.binary == "" {
		o.binary = filepath.Join(dir, serverName)
		if err := build(ctx, o.binary, log); err != nil {
			return "", err
		}
	}
	server, admin, err := startServer(ctx, o.binary, filepath.Join(dir, "data"), o.flags)
	if err != nil {
		return "", err
	}
	defer server.stop()
	s := &site{name: serverName, pids: []int{server.pid}, admin: admin, temporary: true}
	if err := s.open(ctx); err != nil {
		return "", err
	}
	// The server uses all processors, and a collection of garbage in this process would make answers late.
	runtime.GOMAXPROCS(max(1, runtime.NumCPU()/2))
	debug.SetGCPercent(-1)
	debug.SetMemoryLimit(maxMemory)
	rush := &rush{overload: o, site: s, pid: server.pid, log: log}
	if err := rush.prepare(ctx); err != nil {
		return "", err
	}
	if err := rush.run(ctx); err != nil {
		return "", server.explain(err, logOf(filepath.Join(dir, "data")))
	}
	return rush.table(), nil
}

// rush is an overload of a server.
type rush struct {
	*overload
	site *site
	pid  int
	log  io.Writer
	// callers are tokens of accounts that may do all of this.
	callers []string

	phases []phase
}

// phase is a part of the table.
type phase struct {
	name     string
	outcomes []*outcome
	// resident is the memory of the server at the end, in bytes.
	resident int64
	note     string
}

// prepare makes accounts with the right to review and request tokens.
func (r *rush) prepare(ctx context.Context) error {
	var subjects []rbacv1.Subject
	for i := range manyCallers {
		name := fmt.Sprintf("caller-%d", i)
		account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}
		if _, err := r.site.client.CoreV1().ServiceAccounts(r.site.namespace).Create(ctx, account, metav1.CreateOptions{}); err != nil {
			return err
		}
		token, err := r.site.request(ctx, name)
		if err != nil {
			return err
		}
		r.callers = append(r.callers, token)
		subjects = append(subjects, rbacv1.Subject{Kind: rbacv1.ServiceAccountKind, Namespace: r.site.namespace, Name: name})
	}
	name := metav1.ObjectMeta{Name: r.site.namespace + "-callers"}
	_, err := r.site.client.RbacV1().ClusterRoleBindings().Create(ctx, &rbacv1.ClusterRoleBinding{
		ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "system:auth-delegator"},
	}, metav1.CreateOptions{})
	if err != nil {
		return err
	}
	_, err = r.site.client.RbacV1().RoleBindings(r.site.namespace).Create(ctx, &rbacv1.RoleBinding{
		ObjectMeta: name, Subjects: subjects, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: r.site.namespace},
	}, metav1.CreateOptions{})
	return err
}

// dialer returns what opens connections of the caller with a token, for requests of a scenario.
func (r *rush) dialer(ctx context.Context, id, token string) (*dialer, error) {
	for _, sc := range scenarios() {
		if sc.id != id {
			continue
		}
		bodies, err := sc.bodies(ctx, r.site, 1)
		if err != nil {
			return nil, err
		}
		target, err := url.Parse(r.site.url + sc.pathAt(r.site))
		if err != nil {
			return nil, err
		}
		// Without the administrator's certificate.
		config := &tls.Config{RootCAs: r.site.tls.RootCAs, ServerName: r.site.tls.ServerName, MinVersion: tls.VersionTLS12}
		header := sc.header(r.site)
		header.Set("Authorization", "Bearer "+token)
		return &dialer{
			target: target, config: config, status: cmp.Or(sc.status, http.StatusCreated), header: header, body: bodies[0],
			http2: r.version == string(http2),
		}, nil
	}
	return nil, fmt.Errorf("no scenario %s", id)
}

// crowd returns callers that send requests of a scenario.
func (r *rush) crowd(ctx context.Context, name, id string, tokens []string, connections int, rate float64) (*crowd, error) {
	c := &crowd{name: name, connections: connections, rate: rate}
	for _, token := range tokens {
		d, err := r.dialer(ctx, id, token)
		if err != nil {
			return nil, err
		}
		c.dialers = append(c.dialers, d)
	}
	return c, nil
}

func (r *rush) run(ctx context.Context) error {
	flood, err := r.crowd(ctx, "one caller, as fast as it can", "TokenRequest", r.callers[:1], capacityWorkers, 0)
	if err != nil {
		return err
	}
	polite, err := r.crowd(ctx, fmt.Sprintf("%d callers, now and then", politeCallers), "ReviewWarm", r.callers[1:1+politeCallers], politeCallers, politeRate)
	if err != nil {
		return err
	}
	if _, err := r.phase(ctx, "warming up", o0, polite, flood); err != nil {
		return err
	}
	r.phases = nil
	alone, err := r.phase(ctx, "no load", o0, polite)
	if err != nil {
		return err
	}
	slow := slowFactor * percentile(alone[0].answered, 99)
	full, err := r.phase(ctx, "capacity", o0, flood)
	if err != nil {
		return err
	}
	offered := r.times * float64(len(full[0].answered)) / full[0].length.Seconds()
	return r.overloads(ctx, offered, slow, polite)
}

// o0 says that no answer is too slow.
const o0 = time.Hour

// overloads has one caller and many offer more than can be answered.
func (r *rush) overloads(ctx context.Context, offered float64, slow time.Duration, polite *crowd) error {
	one, err := r.crowd(ctx, "one caller floods", "TokenRequest", r.callers[:1], r.connections, offered)
	if err != nil {
		return err
	}
	forbidden, err := r.crowd(ctx, "a caller without the right", "ReviewForbidden", []string{r.site.subject}, refusedConnections, 0)
	if err != nil {
		return err
	}
	unknown, err := r.crowd(ctx, "a caller with a bad token", "ReviewUnauthorized", []string{strings.Repeat("none", 12)}, refusedConnections, 0)
	if err != nil {
		return err
	}
	many, err := r.crowd(ctx, fmt.Sprintf("%d callers, as much each", manyCallers), "TokenRequest", r.callers, r.connections, offered)
	if err != nil {
		return err
	}
	for _, load := range []struct {
		name   string
		crowds []*crowd
	}{
		{fmt.Sprintf("%g times the capacity, by one", r.times), []*crowd{one, polite, forbidden, unknown}},
		{fmt.Sprintf("%g times the capacity, by many", r.times), []*crowd{many}},
	} {
		if _, err := r.phase(ctx, load.name, slow, load.crowds...); err != nil {
			return err
		}
		end := time.Now()
		after, err := r.phase(ctx, "right after it", slow, polite)
		if err != nil {
			return err
		}
		note := &r.phases[len(r.phases)-1].note
		*note = fmt.Sprintf("no answer was shed or took longer than %s ms", millis(slow))
		if bad := after[0].lastBad; bad.After(end) {
			*note = fmt.Sprintf("the last answer that was shed or took longer than %s ms: %s after the end", millis(slow), bad.Sub(end).Round(time.Millisecond))
		}
	}
	return nil
}

// phase has crowds send requests and keeps what became of them.
func (r *rush) phase(ctx context.Context, name string, slow time.Duration, crowds ...*crowd) ([]*outcome, error) {
	if _, err := fmt.Fprintln(r.log, name); err != nil {
		return nil, err
	}
	before, err := readClocks([]int{r.pid})
	if err != nil {
		return nil, err
	}
	found, err := together(ctx, r.length, slow, crowds...)
	if err != nil {
		return nil, err
	}
	after, err := readClocks([]int{r.pid})
	if err != nil {
		return nil, err
	}
	part := func(of time.Duration) float64 { return 100 * of.Seconds() / r.length.Seconds() }
	_, err = fmt.Fprintf(r.log, "  processors used: server %.0f %%, load generator %.0f %%, others %.0f %%\n",
		part(after.server-before.server), part(after.self-before.self), part(after.busy-before.busy-(after.server-before.server)-(after.self-before.self)))
	if err != nil {
		return nil, err
	}
	p := phase{name: name, outcomes: found}
	if p.resident, err = resident(r.pid); err != nil {
		return nil, err
	}
	r.phases = append(r.phases, p)
	return found, nil
}
