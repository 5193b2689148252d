package scheme

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
)

// minSecret is the length from which a run of token letters is taken for a token or the beginning of one. Of the words in a request
// only the names of API groups are that long.
const minSecret = 12

var groupVersions = func() sets.Set[string] {
	names := sets.New[string]()
	for _, known := range []*runtime.Scheme{kubernetesWire, mintmarkWire, openShiftWire} {
		for _, gv := range known.PrioritizedVersionsAllGroups() {
			names.Insert(gv.String())
		}
	}
	return names
}()

// scrub overwrites anything in an unreadable body that may be a token. The library quotes the beginning of such a body in its
// answer, which reaches the audit log.
func scrub(body []byte) {
	for at := 0; at < len(body); {
		end := at
		for end < len(body) && isTokenByte(body[end]) {
			end++
		}
		if end-at >= minSecret && !groupVersions.Has(string(body[at:end])) {
			for i := at; i < end; i++ {
				body[i] = '*'
			}
		}
		at = end + 1
	}
}

// isTokenByte reports whether bearer tokens are made of such bytes (RFC 6750 section 2.1).
func isTokenByte(b byte) bool {
	return 'a' <= b && b <= 'z' || 'A' <= b && b <= 'Z' || '0' <= b && b <= '9' || strings.IndexByte("-._~+/=", b) >= 0
}
