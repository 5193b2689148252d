package apiserver

import (
	"fmt"
	"maps"
	"net/http"
	"slices"

	"github.com/mintmark/mintmark/internal/view"
)

// readyzPath is where a balancer asks whether the server takes requests.
const readyzPath = "/readyz"

// tellUnreadable adds to /readyz?verbose how many stored objects are left out because they can't be read. They keep nothing
// else from being answered, so the server is ready all the same. Their keys are in the log: everybody may read /readyz.
func tellUnreadable(next http.Handler, views *view.Set) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r)
		if r.URL.Path != readyzPath || r.Method != http.MethodGet || !r.URL.Query().Has("verbose") {
			return
		}
		unreadable := views.Unreadable()
		for _, resource := range slices.Sorted(maps.Keys(unreadable)) {
			_, _ = fmt.Fprintf(w, "[!]%d stored %s can't be read and are left out; see the log\n", unreadable[resource], resource)
		}
	})
}
