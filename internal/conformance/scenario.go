package conformance

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Scenario is one file: a story told in HTTP requests. It works in a namespace of its own, {{ns}}.
type Scenario struct {
	Name        string `json:"name"`                  // folder/file, without .json
	Shows       string `json:"shows"`                 // what the story is about, in a sentence
	NoNamespace bool   `json:"noNamespace,omitempty"` // {{ns}} is only a name; no namespace is made
	Needs       string `json:"needs,omitempty"`       // one of the Needs constants, or nothing
	Steps       []Step `json:"steps"`
}

// What a scenario may need beyond the ordinary server.
const (
	NeedsSigningKey     = "signing-key"     // the test has the server's signing key: Target.SigningKey
	NeedsYoungServer    = "young-server"    // kube-system was created less than an hour ago
	NeedsNoAudiences    = "no-audiences"    // the OpenShift API has no audiences of its own
	NeedsIdleLimit      = "idle-limit"      // OAuth tokens idle out after 300 seconds unless their client says otherwise
	NeedsNodeAuthorizer = "node-authorizer" // modes Node and RBAC, admission NodeRestriction, a static node user
)

// Step is one request and its recorded answer, or the making of a token. Texts may hold variables, see session.expand.
type Step struct {
	Name       string            `json:"name,omitempty"`
	As         string            `json:"as,omitempty"`         // admin (when left out), alice, anonymous, or a bearer token
	Cert       string            `json:"cert,omitempty"`       // client certificate NAME.crt in Target.Files; anonymous is then the default
	Method     string            `json:"method,omitempty"`     // with Path, unless Forge is there
	Path       string            `json:"path,omitempty"`       // with its query
	Headers    map[string]string `json:"headers,omitempty"`    // an empty value removes one; each line is a header of its own
	Body       json.RawMessage   `json:"body,omitempty"`       // a JSON string is sent as the text it holds
	BodyBase64 string            `json:"bodyBase64,omitempty"` // for binary bodies
	Forge      *Forge            `json:"forge,omitempty"`      // instead of a request

	Wait       float64           `json:"wait,omitempty"`       // seconds to wait first
	Eventually *Eventually       `json:"eventually,omitempty"` // repeat until the answer is the recorded one
	Events     int               `json:"events,omitempty"`     // read so many watch events, then hang up
	Capture    map[string]string `json:"capture,omitempty"`    // variable → JSON pointer into the answer

	Match     string              `json:"match,omitempty"`     // exact (default), contains, status
	Keep      map[string][]string `json:"keep,omitempty"`      // JSON pointer → the members, elements or lines that are compared
	Ignore    []string            `json:"ignore,omitempty"`    // JSON pointers left out
	Unordered []string            `json:"unordered,omitempty"` // JSON pointers to lists of texts in any order
	UpTo      map[string]string   `json:"upTo,omitempty"`      // JSON pointer → words at which a text is cut off
	Compare   []string            `json:"compare,omitempty"`   // further headers, or "layout"
	Want      *Want               `json:"want,omitempty"`
}

// Ways to match an answer.
const (
	matchExact    = ""
	matchContains = "contains" // the answer may hold more than the record
	matchStatus   = "status"   // only the status code counts: a preparation
)

// layout in Step.Compare stands for the white space of a JSON answer.
const layout = "layout"

// Eventually repeats a request while its answer is not the recorded one: servers may cache reviews and permissions.
type Eventually struct {
	Seconds float64        `json:"seconds"`
	Until   map[string]any `json:"until"` // what the recorder waited for; playing waits for Step.Want
}

// Want is a recorded answer, with placeholders for what differs from run to run.
type Want struct {
	Status      int               `json:"status"`
	ContentType string            `json:"contentType,omitempty"`
	Warnings    []string          `json:"warnings,omitempty"`
	Headers     map[string]string `json:"headers,omitempty"`
	Layout      string            `json:"layout,omitempty"` // compact or indented
	Magic       string            `json:"magic,omitempty"`  // protobuf or cbor: of these only the first bytes are compared
	Text        string            `json:"text,omitempty"`
	Body        any               `json:"body,omitempty"`
	Events      []any             `json:"events,omitempty"`
}

// Load reads every .json file in dir and below, in the order of their paths.
func Load(dir string) ([]*Scenario, error) {
	var scenarios []*Scenario
	folder := os.DirFS(dir)
	err := fs.WalkDir(folder, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") {
			return err
		}
		text, err := fs.ReadFile(folder, path)
		if err != nil {
			return err
		}
		sc, err := parse(text)
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(dir, path), err)
		}
		scenarios = append(scenarios, sc)
		return nil
	})
	return scenarios, err
}

func parse(text []byte) (*Scenario, error) {
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	dec.UseNumber()
	sc := &Scenario{}
	if err := dec.Decode(sc); err != nil {
		return nil, err
	}
	return sc, sc.validate()
}

// validate finds mistakes of authors early.
func (sc *Scenario) validate() error {
	needs := []string{"", NeedsSigningKey, NeedsYoungServer, NeedsNoAudiences, NeedsIdleLimit, NeedsNodeAuthorizer}
	switch {
	case sc.Name == "" || sc.Shows == "" || len(sc.Steps) == 0:
		return errors.New("a scenario needs name, shows and steps")
	case !slices.Contains(needs, sc.Needs):
		return fmt.Errorf("unknown need %q", sc.Needs)
	}
	for i, st := range sc.Steps {
		if err := st.validate(); err != nil {
			return fmt.Errorf("step %d: %w", i+1, err)
		}
	}
	return nil
}

func (st *Step) validate() error {
	switch {
	case (st.Forge == nil) == (st.Method == ""):
		return errors.New("needs either method and path or forge")
	case st.Forge != nil:
		return nil
	case !strings.HasPrefix(st.Path, "/"):
		return errors.New("path must start with /")
	case st.Want == nil:
		return errors.New("nothing was recorded")
	case st.Match != matchExact && st.Match != matchContains && st.Match != matchStatus:
		return fmt.Errorf("unknown match %q", st.Match)
	}
	return nil
}

// label names a step in reports.
func (st *Step) label(i int) string {
	what := st.Name
	switch {
	case what != "":
	case st.Forge != nil:
		what = "forge " + st.Forge.Into
	default:
		what = st.Method + " " + st.Path
	}
	return fmt.Sprintf("step %d (%s)", i+1, what)
}
