package conformance

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func parseJSON(t *testing.T, text string) any {
	t.Helper()
	v, err := decodeJSON([]byte(text))
	if err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	return v
}

func TestPlaceholdersKeepEqualThingsEqual(t *testing.T) {
	n := newNormaliser("127.0.0.1:1234")
	n.know("conf-x", "{{ns}}")
	const one, two = "6d0f4d3e-1111-4222-8333-444444444444", "7e0f4d3e-1111-4222-8333-444444444444"
	now := time.Now().UTC()
	got := n.value(parseJSON(t, `{
		"metadata":{"generateName":"job-","name":"job-abcde","namespace":"conf-x","resourceVersion":"7","uid":"`+one+`",
			"creationTimestamp":"`+now.Format(time.RFC3339)+`","deletionTimestamp":"2001-02-03T04:05:06Z"},
		"list":{"resourceVersion":"8","continue":"xyz"},
		"message":"job-abcde: `+two+` is not `+one+` at https://127.0.0.1:1234, nor 00000000-1111-4222-8333-444444444444",
		"cells":["3d4h","`+now.Truncate(time.Second).String()+`","2001-02-03 04:05:06 +0000 UTC","`+now.Format(time.DateOnly)+`","2001-02-03"],
		"keys":[{"kid":"a","kty":"EC","crv":"P-256","x":"1","y":"2"},{"kid":"b"},{"kid":"a"}],
		"conflict":"Precondition failed: resourceVersion in object meta: 17, in scheme \"pkg/x.go:1\""}`), "")
	// Members are visited in alphabetical order: message before metadata.
	want := parseJSON(t, `{
		"metadata":{"generateName":"job-","name":"job-<suffix:1>","namespace":"{{ns}}","resourceVersion":"<rv:1>","uid":"<uid:2>",
			"creationTimestamp":"<time>","deletionTimestamp":"2001-02-03T04:05:06Z"},
		"list":{"resourceVersion":"<rv>","continue":"<continue>"},
		"message":"job-abcde: <uid:1> is not <uid:2> at https://<host>, nor 00000000-1111-4222-8333-444444444444",
		"cells":["<age>","<time>","2001-02-03 04:05:06 +0000 UTC","<date>","2001-02-03"],
		"keys":[{"kid":"<kid:1>","kty":"EC","crv":"P-256","x":"<key>","y":"<key>"},{"kid":"<kid:2>"},{"kid":"<kid:1>"}],
		"conflict":"Precondition failed: resourceVersion in object meta: <rv>, in scheme <scheme>"}`)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPodsAndNodesAreReduced(t *testing.T) {
	for in, out := range map[string]string{
		`{"kind":"PodList","items":[{"metadata":{"name":"p","generation":1,"managedFields":[]},
			"spec":{"nodeName":"n","containers":[]},"status":{"phase":"Pending","qosClass":"x"}}]}`: `{"kind":"PodList","items":[
			{"metadata":{"name":"p"},"spec":{"nodeName":"n"},"status":{"phase":"Pending"}}]}`,
		`{"kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[]}}`:                           `{"kind":"Pod","metadata":{"name":"p"}}`,
		`{"kind":"Node","metadata":{"name":"n"},"spec":{"podCIDR":"x"},"status":{}}`:                `{"kind":"Node","metadata":{"name":"n"}}`,
		`{"kind":"Secret","metadata":{"generation":1},"storageVersionHash":"x","status":{"a":"b"}}`: `{"kind":"Secret","metadata":{"generation":1},"status":{"a":"b"}}`,
	} {
		if diff := cmp.Diff(parseJSON(t, out), prune(parseJSON(t, in), "")); diff != "" {
			t.Errorf("%s: %s", in, diff)
		}
	}
}

func TestReducedToWhatIsCompared(t *testing.T) {
	for _, c := range []struct {
		step     Step
		in, want string
	}{
		{
			Step{Ignore: []string{"/a/b", "/list/*/x", "/list/1/y", "/m/e.f~1g", "/none/x"}},
			`{"a":{"b":1,"c":2},"list":[{"x":1,"y":1},{"x":1,"y":1}],"m":{"e.f/g":1}}`, `{"a":{"c":2},"list":[{"y":1},{}],"m":{}}`,
		},
		// Of the rules of a role, those on the kept resources stay.
		{
			Step{Keep: map[string][]string{"/rules": {"secrets"}, "/rules/*/resources": {"secrets"}}},
			`{"rules":[{"resources":["pods","secrets"],"verbs":["get"]},{"resources":["nodes"]},{"nonResourceURLs":["/x"]}]}`,
			`{"rules":[{"resources":["secrets"],"verbs":["get"]}]}`,
		},
		{
			Step{Keep: map[string][]string{"": {"a"}, "/a": {"y", "x"}, "/a/x": {"name", "n"}}},
			`{"a":[{"name":"x","n":1,"m":2},"y","z"],"b":1}`, `{"a":[{"name":"x","n":1},"y"]}`,
		},
		{Step{Keep: map[string][]string{"/text": {"b"}}}, `{"text":"a\nb\nc"}`, `{"text":"b"}`},
		{Step{Unordered: []string{"/groups", "/none"}}, `{"groups":["c","a","b"]}`, `{"groups":["a","b","c"]}`},
		{
			Step{UpTo: map[string]string{"/status/error": "token: ", "/status/other": "b", "/none/x": "c"}},
			`{"status":{"error":"[a, oidc: token: whatever]","other":"a"}}`, `{"status":{"error":"[a, oidc: token: …","other":"a"}}`,
		},
	} {
		body := parseJSON(t, c.in)
		if diff := cmp.Diff(parseJSON(t, c.want), c.step.reduce(body)); diff != "" {
			t.Errorf("%s: %s", c.in, diff)
		}
		if diff := cmp.Diff(parseJSON(t, c.in), body); diff != "" {
			t.Errorf("%s was changed: %s", c.in, diff)
		}
	}
}

// With contains, placeholders have no numbers, since what the record leaves out would move them.
func TestContainsHasNoNumbers(t *testing.T) {
	s := newSession(&Target{})
	a := &answer{body: parseJSON(t, `{"uid":"6d0f4d3e-1111-4222-8333-444444444444"}`), header: http.Header{}}
	got := s.normalise(&Step{Match: matchContains}, a).Body
	if diff := cmp.Diff(parseJSON(t, `{"uid":"<uid>"}`), got); diff != "" {
		t.Error(diff)
	}
}

func TestLongTextsAreHashed(t *testing.T) {
	s := newSession(&Target{})
	long, err := s.expand("{{repeat:0123456789:103}}")
	if err != nil {
		t.Fatal(err)
	}
	const want = "012345678901234567890123… (1030 bytes, SHA-256 "
	if got := s.norm.text(long); len(got) != len(want)+9 || got[:len(want)] != want {
		t.Errorf("got %s", got)
	}
	if s.norm.text(long) == s.norm.text(long[:1029]+"x") {
		t.Error("another text looks the same")
	}
}

func TestCloseInTime(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want bool
	}{
		{"<iat+3600s>", "<iat+3603s>", true},
		{"<iat+3600s>", "<iat+3604s>", false},
		{"<iat-60s>", "<iat+60s>", false},
		{"<iat+3600s>", "3600", false},
	} {
		if got := closeInTime(c.a, c.b); got != c.want {
			t.Errorf("%s and %s: %t", c.a, c.b, got)
		}
	}
}
