package conformance

import (
	"errors"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"testing"

	"k8s.io/apimachinery/pkg/util/sets"

	"github.com/mintmark/mintmark/internal/etcd"
	"github.com/mintmark/mintmark/internal/testserver"
)

// TestTransports plays every scenario without the fast path, so that all the recorded answers come from the library's
// chain of handlers, too. What is asked about tokens a second server over the same store is asked as well, which has the
// fast path, and it must answer the same.
func TestTransports(t *testing.T) {
	known := readKnownFailures(t)
	flags, key := recordedFlags(t)
	needing := func(need func(string) bool) []*Scenario {
		return slices.DeleteFunc(loadScenarios(t), func(sc *Scenario) bool { return !need(sc.Needs) })
	}
	t.Run("ordinary", func(t *testing.T) {
		p := startPair(t, flags)
		p.target.SigningKey, p.target.Needs = key, sets.New(NeedsYoungServer)
		p.play(t, known, needing(func(need string) bool { return otherServers[need] == nil }))
		p.mostlyFast(t)
	})
	for other, more := range otherServers {
		t.Run(other, func(t *testing.T) {
			p := startPair(t, (&Variant{flags: more}).Args(flags))
			p.target.Needs = sets.New(other)
			p.play(t, known, needing(func(need string) bool { return need == other }))
		})
	}
	for _, v := range loadVariants(t) {
		t.Run(v.Name, func(t *testing.T) {
			stop, err := v.StartPeers()
			if errors.Is(err, syscall.EADDRINUSE) {
				t.Skipf("somebody else listens on a port that is written into the configuration: %v", err)
			}
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(stop)
			p := startPair(t, v.Args(flags))
			p.target.Files = v.Folder
			p.play(t, known, v.Scenarios)
		})
	}
}

// pair is a server without the fast path, as the target of scenarios, and its twin, which has it.
type pair struct {
	twin
	target *Target
	// before is how many requests had been answered on the fast path when the servers were started. The count is the
	// process's.
	before float64
}

func startPair(t *testing.T, flags []string) *pair {
	t.Helper()
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(member.Close)
	flags = append(slices.Clip(flags), "--etcd-servers="+member.Endpoint())
	p := &pair{target: newServerTarget(testserver.Start(t, append(slices.Clip(flags), "--fast-path=false")...))}
	fast := testserver.Start(t, flags...)
	if p.url, err = url.Parse(fast.URL); err != nil {
		t.Fatal(err)
	}
	p.target.RootCAs = append(slices.Clip(p.target.RootCAs), fast.RootCAs...)
	p.before = p.answeredFast(t)
	p.target.Through = p.through
	return p
}

// play plays scenarios, side by side, to the end.
func (p *pair) play(t *testing.T, known *Known, scenarios []*Scenario) {
	t.Helper()
	t.Cleanup(func() { t.Logf("%d verdicts compared with their explanations", p.explained.Load()) })
	t.Run("scenarios", func(t *testing.T) {
		for _, sc := range scenarios {
			t.Run(sc.Name, func(t *testing.T) { check(t, known, p.target, sc) })
		}
	})
}

// mostlyFast checks that it was indeed the fast path that the other was compared with.
func (p *pair) mostlyFast(t *testing.T) {
	t.Helper()
	fast := p.answeredFast(t) - p.before
	t.Logf("%d answers compared, %d of them successes; %.0f from the fast path", p.asked.Load(), p.granted.Load(), fast)
	if granted := float64(p.granted.Load()); fast > granted || fast < granted*3/4 {
		t.Errorf("%.0f answers came from the fast path, of %.0f successes", fast, granted)
	}
}

var answered = regexp.MustCompile(`(?m)^mintmark_fastpath_requests_total\{outcome="answered"\} (\S+)$`)

// answeredFast is how many requests this process has answered on the fast path.
func (p *pair) answeredFast(t *testing.T) float64 {
	t.Helper()
	client, err := p.target.client("")
	if err != nil {
		t.Fatal(err)
	}
	defer client.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, p.target.URL+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer "+adminToken)
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := answered.FindSubmatch(text)
	if found == nil {
		t.Fatalf("no count of requests on the fast path; status %d", response.StatusCode)
	}
	count, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return count
}
