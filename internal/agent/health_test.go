package agent_test

import (
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/agent"
)

// offsetClock is a clock that is off.
type offsetClock struct {
	clock.RealClock
	by time.Duration
}

func (c offsetClock) Now() time.Time                     { return time.Now().Add(c.by) }
func (c offsetClock) Since(from time.Time) time.Duration { return c.Now().Sub(from) }

// tenMinutes is in what is told of a certificate that was issued for ten minutes just now.
var tenMinutes = regexp.MustCompile(`its certificate is good for (9m\d+s|10m[01]s),`)

// TestClockOff: with a clock that is an hour off the files are as good and as fresh as with a right one, and the difference is told. A
// certificate of ten minutes is counted on the clock of the server: it has not ended.
func TestClockOff(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t, "--cluster-signing-duration=10m"), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.Once = true
	c.pod("web", "vm1")
	c.check(agent.Run(t.Context(), config))
	for by, want := range map[time.Duration]string{time.Hour: "ahead of that of the server", -time.Hour: "behind that of the server"} {
		before := tokenFile(t, dir, "web")
		config := agent.Config{RootDir: dir, HealthAddress: freeAddress(t), Clock: offsetClock{by: by}}
		stop := run(t, config)
		until(t, func() bool { return tokenFile(t, dir, "web") != before })
		text := ""
		until(t, func() bool {
			_, text = get(t, config.HealthAddress, "/readyz")
			return strings.HasPrefix(text, "ok\n")
		})
		if !strings.Contains(text, want) || !strings.Contains(text, "good for 59m") || !tenMinutes.MatchString(text) {
			t.Errorf("/readyz says\n%s", text)
		}
		c.check(stop())
	}
}

// TestNotify: systemd is told when the first files are there, what is missing until then, and that the agent stops.
func TestNotify(t *testing.T) {
	c, dir := newCluster(t), t.TempDir()
	socket := filepath.Join(dir, "notify")
	listener, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	c.check(err)
	defer func() { _ = listener.Close() }()
	t.Setenv("NOTIFY_SOCKET", socket)
	next := func() string {
		t.Helper()
		c.check(listener.SetReadDeadline(time.Now().Add(time.Minute)))
		buffer := make([]byte, 4096)
		n, err := listener.Read(buffer)
		c.check(err)
		return string(buffer[:n])
	}
	c.pod("web", "vm1")
	stop := run(t, c.config(filepath.Join(dir, "root"), "vm1", c.token("abcdef", "vm1")))
	var told []string
	for len(told) == 0 || told[len(told)-1] != "READY=1" {
		told = append(told, next())
	}
	if !slices.ContainsFunc(told, func(s string) bool { return strings.HasPrefix(s, "STATUS=not ready: ") }) {
		t.Errorf("told %q, and not what is missing", told)
	}
	if _, err := os.Stat(filepath.Join(dir, "root", "pods", "default_web", "volumes", "tokens", "vault-token")); err != nil {
		t.Errorf("told to be ready without the file: %v", err)
	}
	go func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	}()
	last := ""
	for last != "STOPPING=1" {
		last = next()
	}
}

// freeAddress is an address for the health of an agent.
func freeAddress(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().String()
}

func get(t *testing.T, address, path string) (status int, text string) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+address+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// TestHealth: the agent is ready while the tokens in the files are good, also without the server.
func TestHealth(t *testing.T) { // not beside other tests: the metrics are those of the process
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.HealthAddress = freeAddress(t)
	c.pod("web", "vm1")
	run(t, config)
	until(t, func() bool {
		status, _ := get(t, config.HealthAddress, "/readyz")
		return status == http.StatusOK
	})
	_, text := get(t, config.HealthAddress, "/readyz")
	for _, want := range []string{"ok\n", "node vm1: its certificate is good for ", "volume tokens of pod default/web: good for 59m", "server " + c.URL + ": answers"} {
		if !strings.Contains(text, want) {
			t.Errorf("/readyz says\n%s\nwant %q in it", text, want)
		}
	}
	if status, _ := get(t, config.HealthAddress, "/livez"); status != http.StatusOK {
		t.Errorf("/livez answers %d", status)
	}
	_, text = get(t, config.HealthAddress, "/metrics")
	for _, want := range []string{
		"mintmark_agent_certificate_expiration_timestamp_seconds 1", "mintmark_agent_token_expiration_timestamp_seconds 1",
		"mintmark_agent_refused 0", "process_resident_memory_bytes",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("/metrics does not have %q", want)
		}
	}
	token := tokenFile(t, dir, "web")
	c.check(c.Stop())
	until(t, func() bool {
		_, text = get(t, config.HealthAddress, "/readyz")
		return strings.Contains(text, "has not answered for ")
	})
	if !strings.HasPrefix(text, "ok\n") || tokenFile(t, dir, "web") != token {
		t.Errorf("without the server /readyz says\n%s", text)
	}
	if strings.Contains(text, token) {
		t.Error("a token is in the text")
	}
}
