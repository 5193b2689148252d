package mintmark_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/mintmark/mintmark/"

// room is a row of the table of packages in ARCHITECTURE.md.
type room struct {
	level, path string
	mayImport   []string
}

// levels are the names that a row's first column may have, from top to bottom. The tests stand outside the order.
var levels = []string{"edge", "assembly", "transport", "controllers", "decision", "credential", "ground", "tests"}

func (r room) height() int { return slices.Index(levels, r.level) }

// TestArchitecture compares the table of packages in ARCHITECTURE.md with itself and with the code.
func TestArchitecture(t *testing.T) {
	text, err := os.ReadFile("ARCHITECTURE.md")
	if err != nil {
		t.Fatal(err)
	}
	rooms, err := parseRooms(string(text))
	if err != nil {
		t.Fatalf("ARCHITECTURE.md: %v", err)
	}
	if err := readDirectories(); err != nil {
		t.Fatal(err)
	}
	imports, err := listImports(t)
	if err != nil {
		t.Fatal(err)
	}
	for _, problem := range append(checkTable(rooms), checkCode(rooms, imports)...) {
		t.Error(problem)
	}
}

// TestArchitectureSees shows that the comparison above can fail.
func TestArchitectureSees(t *testing.T) {
	const header = "| level | package | what it owns | may import |\n|---|---|---|---|\n"
	const upper, lower = "| edge | `cmd/a` | | `internal/b` |\n", "| ground | `internal/b` | | |\n"
	both := map[string][]string{"cmd/a": {"internal/b"}, "internal/b": nil}
	for name, test := range map[string]struct {
		table   string
		imports map[string][]string
		want    string
	}{
		"nothing wrong":       {upper + lower, both, ""},
		"an arrow up":         {upper + "| ground | `internal/b` | | `cmd/a` |\n", both, "does not point down"},
		"an arrow to nowhere": {upper, map[string][]string{"cmd/a": nil}, "internal/b, which has no row"},
		"an arrow to tests":   {"| edge | `cmd/a` | | `internal/t` |\n| tests | `internal/t` | | |\n", map[string][]string{"cmd/a": nil, "internal/t": nil}, "for tests only"},
		"an arrow of tests":   {upper + lower + "| tests | `internal/t` | | `cmd/a` |\n", map[string][]string{"cmd/a": nil, "internal/b": nil, "internal/t": {"cmd/a"}}, ""},
		"a row too many":      {upper + lower, map[string][]string{"cmd/a": {"internal/b"}}, "no such package"},
		"a row too few":       {lower, both, "cmd/a has no row"},
		"an import too many":  {"| edge | `cmd/a` | | |\n" + lower, both, "does not allow that"},
		"a level out of turn": {lower + upper, both, "below rows of a lower level"},
		"an unknown level":    {"| top | `cmd/a` | | |\n", both, "none of"},
		"two rows":            {lower + lower, both, "has two rows"},
		"a lost column":       {"| edge | `cmd/a` | |\n", both, "not 4"},
		"no rows":             {"", both, "no table"},
	} {
		t.Run(name, func(t *testing.T) {
			var problems []string
			if rooms, err := parseRooms(header + test.table); err != nil {
				problems = []string{err.Error()}
			} else {
				problems = append(checkTable(rooms), checkCode(rooms, test.imports)...)
			}
			if test.want == "" && len(problems) > 0 {
				t.Errorf("found %q where there is nothing", problems)
			}
			if test.want != "" && !slices.ContainsFunc(problems, func(p string) bool { return strings.Contains(p, test.want) }) {
				t.Errorf("found %q, not the %q that is there", problems, test.want)
			}
		})
	}
}

// checkTable says where the arrows of the table do not point down.
func checkTable(rooms []room) (problems []string) {
	for i, from := range rooms {
		for _, path := range from.mayImport {
			j := slices.IndexFunc(rooms, func(r room) bool { return r.path == path })
			switch {
			case j < 0:
				problems = append(problems, fmt.Sprintf("ARCHITECTURE.md lets %s import %s, which has no row", from.path, path))
			case from.level == "tests":
			case rooms[j].level == "tests":
				problems = append(problems, fmt.Sprintf("ARCHITECTURE.md lets %s import %s, which is for tests only", from.path, path))
			case j <= i:
				problems = append(problems, fmt.Sprintf("ARCHITECTURE.md lets %s import %s: that arrow does not point down", from.path, path))
			}
		}
	}
	return problems
}

// checkCode compares the table with the packages of the module, and what each of them imports of the others.
func checkCode(rooms []room, imports map[string][]string) (problems []string) {
	byPath := map[string]room{}
	for _, r := range rooms {
		byPath[r.path] = r
		if _, ok := imports[r.path]; !ok {
			problems = append(problems, fmt.Sprintf("ARCHITECTURE.md has a row for %s, and there is no such package", r.path))
		}
	}
	for path, imported := range imports {
		from, ok := byPath[path]
		if !ok {
			problems = append(problems, fmt.Sprintf("%s has no row in ARCHITECTURE.md; it imports %q", path, imported))
			continue
		}
		for _, to := range imported {
			if !slices.Contains(from.mayImport, to) {
				problems = append(problems, fmt.Sprintf("%s imports %s, and its row in ARCHITECTURE.md does not allow that", path, to))
			}
		}
	}
	slices.Sort(problems)
	return problems
}

var code = regexp.MustCompile("`([^`]*)`")

// parseRooms reads the one table whose header begins with "| level | package |". Packages stand in backticks.
func parseRooms(text string) ([]room, error) {
	var rooms []room
	inTable := false
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if !strings.HasPrefix(line, "|") {
			inTable = false
			continue
		}
		if strings.HasPrefix(line, "| level | package |") {
			inTable = true
			continue
		}
		if !inTable || strings.HasPrefix(line, "|---") {
			continue
		}
		cells := strings.Split(strings.Trim(line, "|"), "|")
		if len(cells) != 4 {
			return nil, fmt.Errorf("a row of %d columns, not 4: %s", len(cells), line)
		}
		name := code.FindStringSubmatch(cells[1])
		if name == nil {
			return nil, fmt.Errorf("a row without a package: %s", line)
		}
		r := room{level: strings.TrimSpace(cells[0]), path: name[1]}
		for _, m := range code.FindAllStringSubmatch(cells[3], -1) {
			r.mayImport = append(r.mayImport, m[1])
		}
		switch {
		case r.height() < 0:
			return nil, fmt.Errorf("%s is on the level %q, which is none of %q", r.path, r.level, levels)
		case len(rooms) > 0 && r.height() < rooms[len(rooms)-1].height():
			return nil, fmt.Errorf("%s stands below rows of a lower level", r.path)
		case slices.ContainsFunc(rooms, func(other room) bool { return other.path == r.path }):
			return nil, fmt.Errorf("%s has two rows", r.path)
		}
		rooms = append(rooms, r)
	}
	if len(rooms) == 0 {
		return nil, errors.New("no table of packages")
	}
	return rooms, nil
}

// readDirectories looks at every source file's name, size and time. The go command notes what a test looks at, and so
// runs this one anew when a file has changed; it cannot see what the go list below reads.
func readDirectories() error {
	return filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && path != "." && strings.HasPrefix(entry.Name(), ".") {
			return filepath.SkipDir
		}
		return err
	})
}

// listImports asks the go tool for the module's packages and what each imports of the others, tests left out. Packages
// that consist of tests, like this one, are left out too.
func listImports(t *testing.T) (map[string][]string, error) {
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,GoFiles,Imports", "./...")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("go list: %w\n%s", err, &stderr)
	}
	imports := map[string][]string{}
	for decoder := json.NewDecoder(bytes.NewReader(out)); ; {
		var pkg struct {
			ImportPath       string
			GoFiles, Imports []string
		}
		if err := decoder.Decode(&pkg); errors.Is(err, io.EOF) {
			return imports, nil
		} else if err != nil {
			return nil, fmt.Errorf("go list: %w", err)
		}
		if len(pkg.GoFiles) == 0 {
			continue
		}
		own := []string{}
		for _, path := range pkg.Imports {
			if path, ok := strings.CutPrefix(path, module); ok {
				own = append(own, path)
			}
		}
		imports[strings.TrimPrefix(pkg.ImportPath, module)] = own
	}
}
