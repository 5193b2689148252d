package scheme

import (
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/sets"
)

// minSecret is how many letters in a row may be a token, or the beginning of one. No word of a request is that long but
// the names of API groups.
const minSecret = 12

var groupVersions = func() sets.Set[string] {
	names := sets.New[string]()
	for _, known := range []*runtime.Scheme{kubernetesWire, openShiftWire} {
		for _, gv := range known.PrioritizedVersionsAllGroups() {
			names.Insert(gv.String())
		}
	}
	return names
}()

// scrub overwrites what may be a token in a body that can't be read. The library quotes the beginning of such a body in
// the answer, and so in the audit log.
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
