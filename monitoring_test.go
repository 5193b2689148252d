package mintmark_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/reason"
	"github.com/mintmark/mintmark/internal/testserver"
)

const monitoringDir = "contrib/monitoring"

// ruleFile is a file of rules for Prometheus.
type ruleFile struct {
	Groups []struct {
		Name  string `json:"name"`
		Rules []rule `json:"rules"`
	} `json:"groups"`
}

type rule struct {
	Record      string            `json:"record,omitempty"`
	Alert       string            `json:"alert,omitempty"`
	Expr        string            `json:"expr"`
	For         string            `json:"for,omitempty"`
	Labels      map[string]string `json:"labels,omitempty"`
	Annotations map[string]string `json:"annotations,omitempty"`
}

func readRules(t *testing.T) ruleFile {
	t.Helper()
	text, err := os.ReadFile(monitoringDir + "/mintmark.rules.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var file ruleFile
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	return file
}

// dashboardExpressions are the expressions of the dashboard's panels by title.
func dashboardExpressions(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile(monitoringDir + "/dashboard.json")
	if err != nil {
		t.Fatal(err)
	}
	var dashboard struct {
		Panels []struct {
			Title   string `json:"title"`
			Targets []struct {
				Expr string `json:"expr"`
			} `json:"targets"`
		} `json:"panels"`
		Templating struct {
			List []struct {
				Query any `json:"query"`
			} `json:"list"`
		} `json:"templating"`
	}
	if err := json.Unmarshal(text, &dashboard); err != nil {
		t.Fatal(err)
	}
	all := map[string][]string{}
	for _, panel := range dashboard.Panels {
		for _, target := range panel.Targets {
			all[panel.Title] = append(all[panel.Title], target.Expr)
		}
	}
	for _, variable := range dashboard.Templating.List {
		if query, ok := variable.Query.(map[string]any); ok {
			text, _ := query["query"].(string)
			all["variables"] = append(all["variables"], text)
		}
	}
	return all
}

var (
	promStrings  = regexp.MustCompile(`"(?:[^"\\]|\\.)*"`)
	promMatchers = regexp.MustCompile(`\{[^}]*\}|\[[^\]]*\]`)
	promLabels   = regexp.MustCompile(`\b(by|without|on|ignoring|group_left|group_right)\s*\([^)]*\)`)
	promNames    = regexp.MustCompile(`[a-zA-Z_:][a-zA-Z0-9_:]*\s*\(?`)
	grafanaQuery = regexp.MustCompile(`label_values\(([^,]*),[^)]*\)`)
)

// metricNames returns the names of metrics in an expression of Prometheus or a variable of Grafana.
func metricNames(expression string) (names []string) {
	expression = promStrings.ReplaceAllString(expression, "")
	expression = promMatchers.ReplaceAllString(expression, "")
	expression = promLabels.ReplaceAllString(expression, "")
	expression = grafanaQuery.ReplaceAllString(expression, "$1")
	for _, name := range promNames.FindAllString(expression, -1) {
		if !strings.HasSuffix(name, "(") && !slices.Contains([]string{"and", "or", "unless", "bool", "offset"}, strings.TrimSpace(name)) {
			names = append(names, strings.TrimSpace(name))
		}
	}
	return names
}

func TestMetricNames(t *testing.T) {
	for expression, want := range map[string][]string{
		`sum by (job, le) (rate(a_bucket{b="c(d)"}[5m])) > 0.5 * e:f`: {"a_bucket", "e:f"},
		`label_values(a, job)`: {"a"},
		`sum by (x) (a == 1) and on (x) b unless max(c{d=~"e|f", g!="}"}) - time()`: {"a", "b", "c"},
	} {
		if diff := cmp.Diff(want, metricNames(expression)); diff != "" {
			t.Errorf("%s: %s", expression, diff)
		}
	}
}

// TestMonitoringMetrics looks for each metric of the rules and the dashboard among those that a server registers, those of the agent, which
// docs/machines.md lists, and the rules' own. Verdicts and reasons that are compared must exist.
func TestMonitoringMetrics(t *testing.T) {
	known := map[string]bool{"process_cpu_seconds_total": true, "process_resident_memory_bytes": true} // one collector, whose names can't be read
	agent, err := os.ReadFile("docs/machines.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, match := range regexp.MustCompile("(?m)^\\| `(mintmark_agent_[a-z_]+)` \\|").FindAllStringSubmatch(string(agent), -1) {
		known[match[1]] = true
	}
	expressions := dashboardExpressions(t)
	for _, group := range readRules(t).Groups {
		for _, rule := range group.Rules {
			name := rule.Alert + rule.Record
			known[name] = rule.Record != ""
			expressions[name] = append(expressions[name], rule.Expr)
		}
	}
	testserver.Start(t)
	for _, metric := range registeredMetrics(t) {
		known[metric.name] = true
		if metric.kind == "histogram" {
			known[metric.name+"_bucket"], known[metric.name+"_sum"], known[metric.name+"_count"] = true, true, true
		}
	}
	for where, all := range expressions {
		for _, expression := range all {
			for _, name := range metricNames(expression) {
				if !known[name] {
					t.Errorf("%s uses %s, which is no metric of a server or an agent", where, name)
				}
			}
			for _, problem := range unknownCodes(expression) {
				t.Errorf("%s compares with %s", where, problem)
			}
		}
	}
}

// unknownCodes returns the verdicts and reasons in an expression that reviews don't have.
func unknownCodes(expression string) (unknown []string) {
	codes := map[string]bool{"verdict Authenticated": true, "verdict Refused": true, "verdict Undecided": true}
	for _, code := range reason.All() {
		codes["reason "+code.String()] = true
	}
	for _, match := range regexp.MustCompile(`\b(verdict|reason)[!=]~?"([^"]*)"`).FindAllStringSubmatch(expression, -1) {
		for value := range strings.SplitSeq(match[2], "|") {
			if !codes[match[1]+" "+value] {
				unknown = append(unknown, match[1]+" "+value)
			}
		}
	}
	return unknown
}

// TestMonitoringAlerts: each alert says what is so, what to do, and how urgent that is; the Prometheus operator's copy is the same.
func TestMonitoringAlerts(t *testing.T) {
	rules := readRules(t)
	seen := map[string]bool{}
	for _, group := range rules.Groups {
		for _, rule := range group.Rules {
			if rule.Record != "" {
				continue
			}
			if rule.Annotations["summary"] == "" || rule.Annotations["action"] == "" || !slices.Contains([]string{"info", "warning", "critical"}, rule.Labels["severity"]) {
				t.Errorf("%s needs a summary, an action and a severity", rule.Alert)
			}
			if seen[rule.Alert] {
				t.Errorf("%s stands twice", rule.Alert)
			}
			seen[rule.Alert] = true
		}
	}
	path := manifestDir + "/prometheus-operator/prometheusrule.yaml"
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(rules, decodeManifest(t, path, text).(*prometheusRule).Spec); diff != "" {
		t.Errorf("%s is not what %s/mintmark.rules.yaml is: %s", path, monitoringDir, diff)
	}
}

// TestMonitoringPromtool has Prometheus' own tool check the rules and run their tests.
func TestMonitoringPromtool(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed")
	}
	for _, args := range [][]string{{"check", "rules", "mintmark.rules.yaml"}, {"test", "rules", "mintmark.rules.test.yaml"}} {
		command := exec.CommandContext(t.Context(), promtool, args...)
		command.Dir = monitoringDir
		if out, err := command.CombinedOutput(); err != nil {
			t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
}
