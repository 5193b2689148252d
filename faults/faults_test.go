package main

import (
	"context"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// The test binary is an etcd member when the site of a test starts it as one.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == memberCommand {
		runMember(os.Args[2:])
		return
	}
	os.Exit(m.Run())
}

// server builds the server once for all tests.
var server = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "faults")
	if err != nil {
		return "", err
	}
	binary := filepath.Join(dir, "mintmark")
	return binary, build(context.Background(), binary, os.Stderr)
})

func serverBinary(t *testing.T) string {
	t.Helper()
	if testing.Short() {
		t.Skip("real processes, for a minute or two")
	}
	path, err := server()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// TestFaults is the short form of the program: some faults of each kind, once. make faults injects all of them for ten
// minutes.
func TestFaults(t *testing.T) {
	opts := options{seed: 1, length: time.Second, binary: serverBinary(t), only: "kill-replica,kill-leader,freeze,compaction," + embeddedScenario}
	report, err := carryOut(t.Context(), opts, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	report.print(t.Output())
	if report.violated() {
		t.Error("an answer broke the model")
	}
	for _, what := range []string{"reviews", "writes", "token requests", "revocations in waves", "rotations", "stored objects compared", "files looked at"} {
		if report.counts[what] == 0 {
			t.Errorf("no %s", what)
		}
	}
}

// TestPlantedBugs has three healthy servers seem to have one bug after the other. A check finds each of them.
func TestPlantedBugs(t *testing.T) {
	none, err := choosePlant("")
	if err != nil {
		t.Fatal(err)
	}
	site, err := newSite(t.Context(), serverBinary(t), t.TempDir(), none)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(site.close)
	for name, found := range map[string]string{
		"none":              "",
		"lost-write":        "token request for an account that exists was refused",
		"lost-delete":       "after the acknowledged end of its pods",
		"lost-revocation":   "after the acknowledged end of its revocation",
		"cached-verdict":    "it may for 0s",
		"late-watch":        "it may for 1s",
		"no-bound":          "it may for " + maxStaleness.String(),
		"new-token-refused": "refused a valid token",
		"account-not-there": "token request for an account that exists was refused",
	} {
		t.Run(name, func(t *testing.T) {
			plant, err := choosePlant(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range site.replicas {
				r.client.bend(plant.transport(r))
			}
			report := newReport(1, t.Output())
			if name == "no-bound" {
				// The bug shows when the server has no verdict any more.
				r := site.replicas[0]
				defer disturb(r)()
				cut := time.AfterFunc(2*time.Second, func() { r.setLines(lineCut) })
				defer r.setLines(lineUp)
				defer cut.Stop()
			}
			works(t, site, report, found, name == "none")
		})
	}
}

// works has the work done until a violation with the text is found, or for a while.
func works(t *testing.T, site *site, report *report, found string, healthy bool) {
	t.Helper()
	limit := 30 * time.Second
	if healthy {
		limit = 3 * time.Second
	}
	ctx, stop := context.WithTimeout(t.Context(), limit)
	defer stop()
	w := &world{replicas: site.replicas, model: newModel(), report: report, prefix: "p" + strings.ToLower(strings.ReplaceAll(t.Name(), "/", "-"))[len("testplantedbugs"):]}
	var work sync.WaitGroup
	for i := range workers {
		work.Go(func() { w.work(ctx, rand.New(rand.NewPCG(1, uint64(i)))) })
	}
	for ctx.Err() == nil && (healthy || !report.has(found)) {
		pause(ctx, 50*time.Millisecond)
	}
	stop()
	work.Wait()
	switch {
	case healthy:
		if err := w.audit(t.Context()); err != nil {
			t.Error(err)
		}
		if report.violated() {
			t.Error("servers without a bug break the model")
		}
	case !report.has(found):
		t.Errorf("no check found the bug: want a violation with %q", found)
	}
}

// TestHalfMade leaves a file in a data directory, which is found, and an empty one.
func TestHalfMade(t *testing.T) {
	for name, size := range map[string]int{".serving.crt.tmp": 1, "ca.crt": 0} {
		report := newReport(1, t.Output())
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, name), make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		(&world{report: report}).lookAtDataDir(dir)
		if !report.violated() {
			t.Errorf("%s with %d bytes was not found", name, size)
		}
	}
}

// TestLostObjects compares a list with the model: one object is missing, one is another one of that name, one is still there.
func TestLostObjects(t *testing.T) {
	m := newModel()
	for _, name := range []string{"there", "lost", "another", "deleted"} {
		m.addBond(&bond{resource: "pods", name: name, uid: "uid"})
	}
	for b := range m.bonds {
		if b.name == "deleted" {
			m.begin(b)
			m.ack(b, nil)
		}
	}
	report := newReport(1, t.Output())
	present, absent := m.stored("pods")
	(&world{report: report}).compare(&replica{name: "replica"}, "pods", map[string]types.UID{"there": "uid", "another": "other", "deleted": "uid"}, present, absent)
	if len(report.violations) != 3 {
		t.Errorf("%d violations, want 3: %q", len(report.violations), report.violations)
	}
}
