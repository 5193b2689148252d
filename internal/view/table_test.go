package view

import (
	"testing"
)

// TestPackedKeepsWhatCantBeRead: what a packed view knew of an object counts until the object is gone, though it can't be read
// any more; but nothing that was known of another store does.
func TestPackedKeepsWhatCantBeRead(t *testing.T) {
	key := Key{"ns", "a"}
	for name, test := range map[string]struct {
		then func(*View[string])
		want string
	}{
		"a change that can't be read": {func(v *View[string]) { v.spoil(0, key, badObject{version: 2}) }, "1"},
		"listed, and can't be read":   {func(v *View[string]) { _ = v.replace(0, &list[string]{bad: map[Key]badObject{key: {version: 2}}}, 3) }, "1"},
		"not listed":                  {func(v *View[string]) { _ = v.replace(0, listOf(), 3) }, ""},
		"deleted since": {func(v *View[string]) {
			v.spoil(0, key, badObject{version: 2})
			feed(v, change{key: key, version: 3, gone: true})
		}, ""},
		"of another store": {func(v *View[string]) { v.reset() }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := packedWorld(0)
			_ = w.view.replace(0, listOf(change{key: key, version: 1}), 1)
			test.then(w.view)
			got, ok := w.view.Get(key.Namespace, key.Name)
			if got != test.want || w.records["1"] != ok {
				t.Errorf("the object is at %q, want %q; the function was told of %v", got, test.want, w.records)
			}
		})
	}
}
