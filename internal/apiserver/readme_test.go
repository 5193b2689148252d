package apiserver_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

// The README lists the resources that are served, one row for each group version.
func TestReadmeListsWhatIsServed(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, lists, err := testserver.Start(t).Admin().Discovery().ServerGroupsAndResources()
	if err != nil {
		t.Fatal(err)
	}
	for _, list := range lists {
		var names []string
		for _, resource := range list.APIResources {
			if !strings.Contains(resource.Name, "/") {
				names = append(names, "`"+resource.Name+"`")
			}
		}
		slices.Sort(names)
		if row := "| `" + list.GroupVersion + "` | " + strings.Join(names, " ") + " |"; !strings.Contains(string(text), row+"\n") {
			t.Errorf("README.md lacks the row\n%s", row)
		}
	}
}
