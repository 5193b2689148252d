package mintmark_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path"
	"strconv"
	"strings"
	"testing"
)

// publicPackages are for programs of others. Not all of them need be there.
var publicPackages = []string{"mintmarktest", "tokenreview", "tokensource", "webhookconformance", "externalsignertest", "api/mintmark/v1alpha1"}

// TestPublicPackagesShowNothingInternal: others can't name a type of an internal package, so none is in an exported declaration.
func TestPublicPackagesShowNothingInternal(t *testing.T) {
	for _, dir := range publicPackages {
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		files, err := parser.ParseDir(token.NewFileSet(), dir, func(info fs.FileInfo) bool { //nolint:staticcheck // no build tags are in there
			return !strings.HasSuffix(info.Name(), "_test.go")
		}, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, parsed := range files {
			for name, file := range parsed.Files {
				for _, shown := range internalShown(file) {
					t.Errorf("%s shows %s", name, shown)
				}
			}
		}
	}
}

// TestShowsInternal shows that the test above can fail.
func TestShowsInternal(t *testing.T) {
	const code = `package p
import ("example.com/internal/a"; other "example.com/internal/b"; "example.com/c")
type T struct { Shown a.X; hidden a.X; *other.Embedded }
type hidden struct { Shown a.X }
type I interface { M() map[string]a.X }
func F(c.X) func(a.X) { return nil }
func (hidden) M(a.X) {}
func (*T) N(c.X) {}
func f(a.X) {}
var V a.X
`
	file, err := parser.ParseFile(token.NewFileSet(), "p.go", code, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	want := "a.X in T, other.Embedded in T, a.X in I, a.X in F, a.X in V"
	if got := strings.Join(internalShown(file), ", "); got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// internalShown returns the internal types in the exported declarations of a file.
func internalShown(file *ast.File) []string {
	internal := map[string]bool{}
	for _, imported := range file.Imports {
		from, _ := strconv.Unquote(imported.Path.Value) // the parser has read it
		name := path.Base(from)
		if imported.Name != nil {
			name = imported.Name.Name
		}
		internal[name] = strings.Contains(from+"/", "/internal/")
	}
	var shown []string
	look := func(in string, node ast.Node) {
		ast.Inspect(node, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.Field:
				return len(n.Names) == 0 || ast.IsExported(n.Names[0].Name) || !isMember(node, n)
			case *ast.SelectorExpr:
				if from, ok := n.X.(*ast.Ident); ok && internal[from.Name] {
					shown = append(shown, from.Name+"."+n.Sel.Name+" in "+in)
				}
			}
			return true
		})
	}
	for _, decl := range file.Decls {
		switch decl := decl.(type) {
		case *ast.FuncDecl:
			if decl.Name.IsExported() && (decl.Recv == nil || ast.IsExported(receiver(decl.Recv.List[0].Type))) {
				look(decl.Name.Name, decl.Type)
			}
		case *ast.GenDecl:
			for _, spec := range decl.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					if spec.Name.IsExported() {
						look(spec.Name.Name, spec.Type)
					}
				case *ast.ValueSpec:
					if spec.Names[0].IsExported() && spec.Type != nil {
						look(spec.Names[0].Name, spec.Type)
					}
				}
			}
		}
	}
	return shown
}

// isMember reports whether a field is one of a struct itself, and not a parameter.
func isMember(of ast.Node, field *ast.Field) bool {
	members, ok := of.(*ast.StructType)
	if !ok {
		return false
	}
	for _, member := range members.Fields.List {
		if member == field {
			return true
		}
	}
	return false
}

func receiver(of ast.Expr) string {
	switch of := of.(type) {
	case *ast.StarExpr:
		return receiver(of.X)
	case *ast.IndexExpr:
		return receiver(of.X)
	case *ast.Ident:
		return of.Name
	}
	return ""
}
