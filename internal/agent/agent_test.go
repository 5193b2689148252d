package agent_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/agent"
)

// TestDirectories: one agent to a directory, and one node.
func TestDirectories(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	c.pod("web", "vm1")
	stop := run(t, config)
	tokenFile(t, dir, "web")
	refuses := func(name string, config agent.Config, want string) {
		t.Helper()
		if err := agent.Run(t.Context(), config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is\n%v\nwant\n%s", name, err, want)
		}
	}
	refuses("the same directories", agent.Config{RootDir: dir}, "is in use by")
	copied := t.TempDir()
	if err := os.CopyFS(copied, os.DirFS(filepath.Join(dir, "state"))); err != nil {
		t.Fatal(err)
	}
	refuses("a key that others can read", agent.Config{RootDir: dir, StateDir: copied}, "node.pem can be read by others") // the copy has 0644
	for _, name := range []string{"node.pem", "kubeconfig", "lock"} {
		c.check(os.Chmod(filepath.Join(copied, name), 0o600))
	}
	refuses("the same root directory", agent.Config{RootDir: dir, StateDir: copied}, "another process keeps the volumes")
	c.check(stop())
	refuses("another node", agent.Config{RootDir: dir, NodeName: "vm2"}, "belongs to the node vm1")
	open := filepath.Join(t.TempDir(), "open")
	c.check(os.Mkdir(open, 0o700))
	c.check(os.Chmod(open, 0o777))
	refuses("a root directory that everybody can write to", agent.Config{RootDir: open, StateDir: copied}, "everybody can write to")
	if os.Getuid() != 0 {
		return
	}
	foreign := t.TempDir()
	c.check(os.Chown(foreign, 12345, 12345))
	refuses("a root directory of another user", agent.Config{RootDir: foreign, StateDir: copied}, "belongs to user 12345")
	refuses("a state directory of another user", agent.Config{RootDir: dir, StateDir: foreign}, "who could put keys of their own there")
}

// TestOnce: all files are written and the agent ends, and what can't be written is said.
func TestOnce(t *testing.T) {
	t.Parallel()
	c, dir := newCluster(t), t.TempDir()
	config := c.config(dir, "vm1", c.token("abcdef", "vm1"))
	config.Once = true
	c.check(agent.Run(t.Context(), config)) // no pods, no files
	c.pod("web", "vm1")
	c.check(agent.Run(t.Context(), agent.Config{RootDir: dir, Once: true}))
	if status := c.review(tokenFile(t, dir, "web")); !status.Authenticated {
		t.Errorf("refused: %s", status.Error)
	}
	// A path that the server takes and no agent writes. No further try will change that, so none is waited for.
	began := time.Now()
	c.podAt("hidden", "vm1", "./..data")
	err := agent.Run(t.Context(), agent.Config{RootDir: dir, Once: true})
	if err == nil || !strings.Contains(err.Error(), "the volume tokens of pod default/hidden: invalid path: must not start with '..'") || time.Since(began) > 30*time.Second {
		t.Errorf("after %s the error is %v", time.Since(began), err)
	}
}
