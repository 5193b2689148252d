package mintmark_test

import (
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"unicode"
)

var (
	markdownCode = regexp.MustCompile("(?ms)^ *```.*?^ *```|`[^`\n]*`")
	markdownLink = regexp.MustCompile(`\]\(([^)\s]+)\)`)
	fencedCode   = regexp.MustCompile("(?ms)^ *```.*?^ *```")
	heading      = regexp.MustCompile(`(?m)^#{1,6} +(.*?) *$`)
	headingLink  = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// TestLinks: each relative link in the documents leads to a file, and to a heading if it names one.
func TestLinks(t *testing.T) {
	for _, problem := range deadLinks(os.DirFS(".")) {
		t.Error(problem)
	}
}

// TestLinksSees shows that the test above can fail.
func TestLinksSees(t *testing.T) {
	page := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	files := fstest.MapFS{
		"README.md": page("[good](docs/a.md#it-says-x-do-y) [code](docs) `[no](link)` [far](https://example.com/x) [here](#top)\n# Top\n" +
			"[lost](docs/b.md) [lost](docs/a.md#nowhere) [lost](#nowhere) [twice](docs/a.md#two-1)\n```\n[no](link)\n# no heading\n```\n"),
		"docs/a.md": page("# It says `X`, do Y\n## Two\n## Two\n[back](../README.md) [out](../../etc/passwd)\n"),
	}
	want := []string{
		"README.md links to #nowhere, which README.md has no heading for",
		"README.md links to docs/a.md#nowhere, which docs/a.md has no heading for",
		"README.md links to docs/b.md, which does not exist",
		"docs/a.md links to ../../etc/passwd, which does not exist",
	}
	got := deadLinks(files)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}

// deadLinks returns a sentence for each relative link of a Markdown file that leads nowhere.
func deadLinks(files fs.FS) (problems []string) {
	err := fs.WalkDir(files, ".", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "." && (strings.HasPrefix(entry.Name(), ".") || entry.Name() == "testdata"):
			return fs.SkipDir
		case filepath.Ext(path) != ".md":
			return nil
		}
		text, err := fs.ReadFile(files, path)
		if err != nil {
			return err
		}
		for _, match := range markdownLink.FindAllStringSubmatch(markdownCode.ReplaceAllString(string(text), ""), -1) {
			if problem := deadLink(files, path, match[1]); problem != "" {
				problems = append(problems, path+" links to "+match[1]+", which "+problem)
			}
		}
		return nil
	})
	if err != nil {
		problems = append(problems, err.Error())
	}
	return problems
}

func deadLink(files fs.FS, from, link string) string {
	target, err := url.Parse(link)
	if err != nil {
		return "is no URL"
	}
	if target.IsAbs() {
		return ""
	}
	to := from
	if target.Path != "" {
		to = filepath.ToSlash(filepath.Join(filepath.Dir(from), filepath.FromSlash(target.Path)))
	}
	if _, err := fs.Stat(files, to); err != nil {
		return "does not exist"
	}
	if target.Fragment == "" {
		return ""
	}
	text, err := fs.ReadFile(files, to)
	if err != nil || !slices.Contains(anchors(string(text)), target.Fragment) {
		return to + " has no heading for"
	}
	return ""
}

// anchors returns the anchors that GitHub makes of the headings of a Markdown file.
func anchors(text string) (all []string) {
	seen := map[string]int{}
	for _, match := range heading.FindAllStringSubmatch(fencedCode.ReplaceAllString(text, ""), -1) {
		title := headingLink.ReplaceAllString(match[1], "$1")
		anchor := strings.Map(func(r rune) rune {
			switch {
			case r == ' ':
				return '-'
			case r == '-' || r == '_' || unicode.IsLetter(r) || unicode.IsDigit(r):
				return unicode.ToLower(r)
			}
			return -1
		}, title)
		if n := seen[anchor]; n > 0 {
			all = append(all, fmt.Sprintf("%s-%d", anchor, n))
		} else {
			all = append(all, anchor)
		}
		seen[anchor]++
	}
	return all
}
