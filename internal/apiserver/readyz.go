package apiserver

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/view"
)

// readyzPath is where a balancer asks whether the server takes requests.
const readyzPath = "/readyz"

// tellDetails adds to /readyz?verbose how many stored objects are left out because they can't be read, and whether the files of
// signing keys can't be used. Neither keeps anything else from being answered, so the server is ready all the same. What it is
// exactly is in the log: everybody may read /readyz.
func tellDetails(next http.Handler, views *view.Set, files *signingkey.Files) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if r.URL.Path != readyzPath || r.Method != http.MethodGet || !r.URL.Query().Has("verbose") {
			return
		}
		if files != nil && files.Failure() != nil {
			_, _ = fmt.Fprint(w, "[!]the files of signing keys can't be used as they are, and the keys that were read before hold on; see the log\n")
		}
		unreadable := views.Unreadable()
		for _, resource := range slices.Sorted(maps.Keys(unreadable)) {
			_, _ = fmt.Fprintf(w, "[!]%d stored %s can't be read and are left out; see the log\n", unreadable[resource], resource)
		}
	})
}
