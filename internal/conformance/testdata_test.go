package conformance

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func loadVariants(t *testing.T) []*Variant {
	t.Helper()
	variants, err := LoadVariants("testdata/variants")
	if err != nil {
		t.Fatal(err)
	}
	return variants
}

// loadScenarios reads the scenarios for the ordinary server.
func loadScenarios(t *testing.T) []*Scenario {
	t.Helper()
	var all []*Scenario
	for _, dir := range []string{"testdata/scenarios", "testdata/decided"} {
		scenarios, err := Load(dir)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, scenarios...)
	}
	return all
}

// allNames lists the scenarios for all servers.
func allNames(t *testing.T) []string {
	t.Helper()
	scenarios := loadScenarios(t)
	for _, v := range loadVariants(t) {
		scenarios = append(scenarios, v.Scenarios...)
	}
	var names []string
	for _, sc := range scenarios {
		names = append(names, sc.Name)
	}
	return names
}

// Scenarios are called as their files are, so that a failing one is found.
func TestScenariosAreCalledAsTheirFiles(t *testing.T) {
	names := allNames(t)
	for _, name := range names {
		path := "scenarios/" + name
		if folder, rest, _ := strings.Cut(name, "/"); folder == "variants" {
			variant, file, _ := strings.Cut(rest, "/")
			path = "variants/" + variant + "/scenarios/" + file
		} else if folder == "decided" {
			path = name
		}
		if _, err := os.Stat(filepath.Join("testdata", path+".json")); err != nil {
			t.Error(err)
		}
	}
	slices.Sort(names)
	if unique := slices.Compact(slices.Clone(names)); len(unique) != len(names) || len(names) == 0 {
		t.Errorf("%d scenarios have %d names", len(names), len(unique))
	}
}

func TestVariantFlags(t *testing.T) {
	for _, v := range loadVariants(t) {
		if len(v.flags) == 0 || len(v.Scenarios) == 0 {
			t.Errorf("%s: %d flags, %d scenarios", v.Name, len(v.flags), len(v.Scenarios))
		}
		for _, flag := range v.flags {
			name, value, ok := strings.Cut(flag, "=")
			if !ok || !strings.HasPrefix(name, "--") {
				t.Errorf("%s: not a flag: %s", v.Name, flag)
			}
			if strings.HasSuffix(name, "-file") || strings.HasSuffix(name, "-config") {
				if _, err := os.Stat(value); err != nil || !filepath.IsAbs(value) {
					t.Errorf("%s: %s names no file of its folder", v.Name, flag)
				}
			}
		}
	}
}

// A flag of a variant takes the place of all base flags of its name.
func TestVariantArgs(t *testing.T) {
	v := &Variant{flags: []string{"--issuer=a", "--issuer=b", "--audiences="}}
	got := v.Args([]string{"--issuer=x", "--issuer-keys=k", "--lookup", "--audiences=y"})
	want := []string{"--issuer-keys=k", "--lookup", "--issuer=a", "--issuer=b", "--audiences="}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestMistakesInScenarios(t *testing.T) {
	const want = `"want":{"status":200}`
	for text, reason := range map[string]string{
		`{"name":"s","shows":"x","steps":[{"method":"GET","path":"/",` + want + `}]}`:                           "",
		`{"name":"s","shows":"x","steps":[{"forge":{"sign":"other","into":"t"}}]}`:                              "",
		`{"name":"s","shows":"x","steps":[]}`:                                                                   "needs name, shows and steps",
		`{"name":"s","shows":"x","needs":"luck","steps":[{"method":"GET","path":"/",` + want + `}]}`:            `unknown need "luck"`,
		`{"name":"s","shows":"x","steps":[{"method":"GET","path":"/"}]}`:                                        "nothing was recorded",
		`{"name":"s","shows":"x","steps":[{"method":"GET","path":"x",` + want + `}]}`:                           "path must start with /",
		`{"name":"s","shows":"x","steps":[{"path":"/",` + want + `}]}`:                                          "needs either method",
		`{"name":"s","shows":"x","steps":[{"method":"GET","path":"/","match":"nearly",` + want + `}]}`:          `unknown match "nearly"`,
		`{"name":"s","shows":"x","steps":[{"method":"GET","path":"/","eventualy":{"seconds":1},` + want + `}]}`: "unknown field",
	} {
		_, err := parse([]byte(text))
		if (err == nil) != (reason == "") || err != nil && !strings.Contains(err.Error(), reason) {
			t.Errorf("%s: got %v", text, err)
		}
	}
}
