package conformance

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// compare lists the differences between the recorded answer of a step and a new one.
func (s *session) compare(st *Step, a *answer) []string {
	want, got := st.Want, s.normalise(st, a)
	d := differ{secrets: s.secrets}
	d.value("status", want.Status, got.Status)
	d.value("content type", want.ContentType, got.ContentType)
	d.value("warnings", want.Warnings, got.Warnings)
	d.value("headers", want.Headers, got.Headers)
	d.value("layout", want.Layout, got.Layout)
	d.value("encoding", want.Magic, got.Magic)
	d.contains = st.Match == matchContains
	if d.contains {
		d.lines(want.Text, got.Text)
	} else {
		d.value("text", want.Text, got.Text)
	}
	d.value("", want.Body, got.Body)
	if len(want.Events) > 0 || len(got.Events) > 0 {
		d.value("events", want.Events, got.Events)
	}
	if len(d.found) > 0 && st.Match == matchStatus {
		d.add("answer", "%s", shorten(s.secrets.text(string(a.raw)))) // why a preparation failed
	}
	return d.found
}

// differ collects differences.
type differ struct {
	contains bool // what is new may hold more than what is wanted
	secrets  *mask
	found    []string
}

func (d *differ) add(path, format string, args ...any) {
	if path == "" {
		path = "body"
	}
	d.found = append(d.found, path+": "+fmt.Sprintf(format, args...))
}

func (d *differ) differs(path string, want, got any) {
	d.add(path, "want %s, got %s", d.secrets.show(want), d.secrets.show(got))
}

func (d *differ) value(path string, want, got any) {
	switch w := want.(type) {
	case map[string]any:
		if g, ok := got.(map[string]any); ok {
			d.object(path, w, g)
			return
		}
	case []any:
		if g, ok := got.([]any); ok {
			d.list(path, w, g)
			return
		}
	case string:
		if g, ok := got.(string); ok {
			if w != g && !closeInTime(w, g) {
				// A token is masked before the text is cut off: half a token can't be recognized.
				w, g = fromDifference(d.secrets.text(w), d.secrets.text(g))
				d.differs(path, w, g)
			}
			return
		}
	}
	if !reflect.DeepEqual(want, got) {
		d.differs(path, want, got)
	}
}

func (d *differ) object(path string, want, got map[string]any) {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		at := path + "/" + key
		if value, ok := got[key]; ok {
			d.value(at, want[key], value)
		} else {
			d.add(at, "want %s, got no such member", d.secrets.show(want[key]))
		}
	}
	if d.contains {
		return
	}
	for _, key := range slices.Sorted(maps.Keys(got)) {
		if _, ok := want[key]; !ok {
			d.add(path+"/"+key, "want no such member, got %s", d.secrets.show(got[key]))
		}
	}
}

func (d *differ) list(path string, want, got []any) {
	if d.contains {
		for _, element := range want {
			d.member(path, element, got)
		}
		return
	}
	if len(want) != len(got) {
		d.add(path, "want %d elements %s, got %d: %s", len(want), d.secrets.show(want), len(got), d.secrets.show(got))
		return
	}
	for i := range want {
		d.value(path+"/"+strconv.Itoa(i), want[i], got[i])
	}
}

// member looks for an element in a list. If none fits, it returns the one with the same name, for the report.
func (d *differ) member(path string, want any, got []any) {
	var nearest []string
	for _, element := range got {
		inner := differ{contains: true, secrets: d.secrets}
		inner.value(path+"/"+identity(want), want, element)
		if len(inner.found) == 0 {
			return
		}
		if name := identity(want); name != "" && name == identity(element) {
			nearest = inner.found
		}
	}
	if nearest == nil {
		d.add(path, "no element like %s", d.secrets.show(want))
	}
	d.found = append(d.found, nearest...)
}

func (d *differ) lines(want, got string) {
	has := strings.Split(got, "\n")
	for _, line := range strings.Split(want, "\n") {
		if line != "" && !slices.Contains(has, line) {
			d.add("text", "no line %s", d.secrets.show(line))
		}
	}
}

var distance = regexp.MustCompile(`^<iat([+-]\d+)s>$`)

// closeInTime reports whether two distances from iat are nearly equal.
func closeInTime(a, b string) bool {
	const tolerance = 3
	x, y := distance.FindStringSubmatch(a), distance.FindStringSubmatch(b)
	if x == nil || y == nil {
		return false
	}
	s, err1 := strconv.ParseInt(x[1], 10, 64)
	t, err2 := strconv.ParseInt(y[1], 10, 64)
	return err1 == nil && err2 == nil && max(s-t, t-s) <= tolerance
}

// fromDifference cuts off what two long strings have in common at the start.
func fromDifference(a, b string) (string, string) {
	const enough = 40
	i := 0
	for i < len(a) && i < len(b) && a[i] == b[i] {
		i++
	}
	if i <= enough {
		return a, b
	}
	start := i - enough/2
	return "…" + a[start:], "…" + b[start:]
}
