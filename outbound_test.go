package mintmark_test

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// callers are the files that may make HTTP clients, or the folders of such files, and why.
var callers = map[string]string{
	"internal/outbound/":                   "the guarded transport itself",
	"internal/apiserver/internalclient.go": "calls the server's own handler, without a network",
	"internal/options/files.go":            "reads kubeconfigs to check them, and calls nobody",
	"cmd/mintmark/":                        "commands other than serve, which call the server that a person names",
	"internal/agent/":                      "a process of its own, which calls the server that a person names",
	"internal/bench/":                      "a program of its own",
	"webhookconformance/":                  "for tests of webhooks, and for a command",
	"faults/":                              "a program of its own",
	"tokenreview/":                         "a library for other programs, which calls the server that they name",
	"tokensource/":                         "a library for other programs, which calls the server that they name",
	"internal/conformance/":                "for tests only",
	"mintmarktest/":                        "for tests only",
	"internal/testserver/":                 "for tests only",
}

// makesClients are the names, by the path of their package, with which a client can be made or used.
var makesClients = map[string]*regexp.Regexp{
	"net/http":                          regexp.MustCompile(`^(Client|Transport|DefaultClient|DefaultTransport|Get|Head|Post|PostForm)$`),
	"k8s.io/client-go/rest":             regexp.MustCompile(`(For|ForConfig|ForConfigAndClient|InClusterConfig)$`),
	"k8s.io/client-go/tools/clientcmd":  regexp.MustCompile(`^(BuildConfig|NewNonInteractive|NewInteractive|RESTConfig)`),
	"k8s.io/client-go/transport":        regexp.MustCompile(`^New`),
	"k8s.io/apiserver/pkg/util/webhook": regexp.MustCompile(`^(LoadKubeconfig|NewGenericWebhook)$`),
	"k8s.io/client-go/kubernetes":       regexp.MustCompile(`^NewForConfig`),
	"k8s.io/client-go/dynamic":          regexp.MustCompile(`^NewForConfig`),
}

// TestCallsAreGuarded: every HTTP client of the server's process comes from internal/outbound, whose transport follows no
// redirects and reads and waits no longer than it must.
func TestCallsAreGuarded(t *testing.T) {
	used := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != "." || entry.Name() == "testdata" || path == "tools"):
			return filepath.SkipDir
		case entry.IsDir(), !strings.HasSuffix(path, ".go"), strings.HasSuffix(path, "_test.go"):
			return nil
		}
		found, err := clientsIn(path, nil)
		for caller := range callers {
			if len(found) > 0 && strings.HasPrefix(filepath.ToSlash(path), caller) {
				used[caller], found = true, nil
			}
		}
		for _, place := range found {
			t.Errorf("%s: the client is to come from internal/outbound", place)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for caller, why := range callers {
		if !used[caller] {
			t.Errorf("%s (%s) makes no clients: take it off the list", caller, why)
		}
	}
}

// clientsIn returns the places in a file, or in a text, where a client is made or used.
func clientsIn(path string, text any) (found []string, err error) {
	files := token.NewFileSet()
	file, err := parser.ParseFile(files, path, text, 0)
	if err != nil {
		return nil, err
	}
	names := map[string]*regexp.Regexp{} // by the package's name in this file
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			return nil, err
		}
		pattern := makesClients[imported]
		if strings.HasPrefix(imported, "k8s.io/client-go/kubernetes/typed/") {
			pattern = makesClients["k8s.io/client-go/kubernetes"]
		}
		if pattern == nil {
			continue
		}
		name := imported[strings.LastIndexByte(imported, '/')+1:]
		if spec.Name != nil {
			name = spec.Name.Name
		}
		names[name] = pattern
	}
	ast.Inspect(file, func(node ast.Node) bool {
		if selector, ok := node.(*ast.SelectorExpr); ok {
			if of, ok := selector.X.(*ast.Ident); ok && names[of.Name] != nil && names[of.Name].MatchString(selector.Sel.Name) {
				found = append(found, fmt.Sprintf("%s: %s.%s", files.Position(selector.Pos()), of.Name, selector.Sel.Name))
			}
		}
		return true
	})
	return found, nil
}

// TestCallsAreGuardedSees shows that the search above finds what it looks for.
func TestCallsAreGuardedSees(t *testing.T) {
	for text, want := range map[string][]string{
		`import "net/http"; var c = &http.Client{}`:                                                                {"x.go:1:40: http.Client"},
		`import web "net/http"; var _, _ = web.Get("https://x")`:                                                   {"x.go:1:46: web.Get"},
		`import "net/http"; var s http.Server; func f(http.ResponseWriter) {}`:                                     nil,
		`import "k8s.io/client-go/rest"; func f(c *rest.Config) { rest.HTTPClientFor(c) }`:                         {"x.go:1:69: rest.HTTPClientFor"},
		`import v1 "k8s.io/client-go/kubernetes/typed/core/v1"; func f() { v1.NewForConfig(nil) }`:                 {"x.go:1:78: v1.NewForConfig"},
		`import u "k8s.io/apiserver/pkg/util/webhook"; var c, _ = u.LoadKubeconfig("f", nil)`:                      {"x.go:1:69: u.LoadKubeconfig"},
		`import http "github.com/mintmark/mintmark/internal/outbound"; var _, _ = http.Get, http.DefaultTransport`: nil,
	} {
		got, err := clientsIn("x.go", "package x; "+text)
		if err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: %q, %v; want %q", text, got, err, want)
		}
	}
}
