package testserver

import (
	"testing"

	"sigs.k8s.io/yaml"
)

func TestDifferences(t *testing.T) {
	got := map[string]any{"a": 1.0, "b": []any{"x"}, "c": map[string]any{"d": true}}
	for _, test := range []struct {
		want string
		same bool
	}{
		{`{}`, true},
		{`{a: 1, b: [x], c: {d: true}}`, true},
		{`{z: null}`, true},
		{`{a: 2}`, false},
		{`{a: null}`, false},
		{`{b: []}`, false},
		{`{b: [y]}`, false},
		{`{c: {e: true}}`, false},
		{`[]`, false},
	} {
		var want any
		if err := yaml.Unmarshal([]byte(test.want), &want); err != nil {
			t.Fatal(err)
		}
		if found := differences("", want, any(got)); (len(found) == 0) != test.same {
			t.Errorf("%s: differences %q", test.want, found)
		}
	}
}
