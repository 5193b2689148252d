package audittrail

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"regexp"
	"slices"
	"strconv"
	"testing"
)

// TestDocument compares the table of docs/audit.md with the constants of this package.
func TestDocument(t *testing.T) {
	text, err := os.ReadFile("../../docs/audit.md")
	if err != nil {
		t.Fatal(err)
	}
	var documented []string
	for _, row := range regexp.MustCompile("(?m)^\\| `(authentication\\.[a-z]+\\.io/[a-z-]+)` \\| [^|]+ \\| [^|]+ \\|$").FindAllStringSubmatch(string(text), -1) {
		documented = append(documented, row[1])
	}
	file, err := parser.ParseFile(token.NewFileSet(), "audittrail.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	annotations := []string{IssuedCredentialID, CallerCredentialID}
	ast.Inspect(file, func(n ast.Node) bool {
		sum, ok := n.(*ast.BinaryExpr)
		if !ok {
			return true
		}
		name, err := strconv.Unquote(sum.Y.(*ast.BasicLit).Value)
		if err != nil {
			t.Fatal(err)
		}
		annotations = append(annotations, Prefix+name)
		return true
	})
	slices.Sort(documented)
	slices.Sort(annotations)
	if !slices.Equal(documented, annotations) {
		t.Errorf("docs/audit.md has\n%q\nand the code\n%q", documented, annotations)
	}
}
