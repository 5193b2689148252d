package agent_test

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/mintmark/mintmark/internal/agent"
	"github.com/mintmark/mintmark/internal/collectors"
	"github.com/mintmark/mintmark/internal/projectedvolume"
)

// TestMetricsDocument: docs/machines.md lists the agent's metrics with the meaning that they have in the code.
func TestMetricsDocument(t *testing.T) {
	t.Parallel()
	if err := agent.Run(t.Context(), agent.Config{RootDir: t.TempDir()}); err == nil { // it registers them first
		t.Fatal("an agent runs without a server")
	}
	if _, err := projectedvolume.NewKeeper(projectedvolume.Config{Root: t.TempDir()}); err != nil {
		t.Fatal(err)
	}
	want := map[string]string{}
	help := regexp.MustCompile(`help: "(?:\[ALPHA\] )?(.*)", unit: `)
	for name, description := range collectors.Lookup() {
		if strings.HasPrefix(name, "mintmark_agent_") {
			want[name] = help.FindStringSubmatch(description.String())[1]
		}
	}
	page, err := os.ReadFile(filepath.Join("..", "..", "docs", "machines.md"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(mintmark_agent_[a-z_]+)` \\| \\w+ \\| (.*) \\|$").FindAllStringSubmatch(string(page), -1) {
		got[row[1]] = row[2]
	}
	if len(want) < 5 {
		t.Errorf("only %v are registered", slices.Sorted(maps.Keys(want)))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/machines.md (-code +page):\n%s", diff)
	}
}
