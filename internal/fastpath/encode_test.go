package fastpath

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/plainjson"
)

// listed is a user with its extra in order.
type listed struct {
	user.DefaultInfo
	extra [][2]string
}

func (l *listed) SortedExtra() [][2]string { return l.extra }

// TestSortedExtra: a user is written alike with its extra as a list and as a map.
func TestSortedExtra(t *testing.T) {
	for _, extra := range [][][2]string{nil, {{"a", "1"}}, {{"a", "1"}, {"b/c", `<"&>`}, {"d", ""}}} {
		info := user.DefaultInfo{Name: "name", UID: "uid", Groups: []string{"group"}}
		for _, pair := range extra {
			if info.Extra == nil {
				info.Extra = map[string][]string{}
			}
			info.Extra[pair[0]] = []string{pair[1]}
		}
		want, got := plainjson.Writer("{"), plainjson.Writer("{")
		writeUser(&want, &info)
		writeUser(&got, &listed{DefaultInfo: info, extra: extra})
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("as a map -, as a list +:\n%s", diff)
		}
	}
}
