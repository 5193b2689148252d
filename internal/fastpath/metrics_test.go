package fastpath_test

import (
	"maps"
	"slices"
	"strings"
	"testing"
)

// TestMetrics sends the same requests first to one transport and then to the other: every series of the process must
// grow by as much, but for those that say how the server itself does.
func TestMetrics(t *testing.T) { // not beside others: the metrics are the process's
	users := []string{`all-token,all,all-uid,reviewers`, `mail-token,ann@example.com,ann-uid,reviewers`, `admin-token,admin,admin-uid,system:masters`, `nobody-token,nobody,nobody-uid`}
	s := start(t, users)
	grown := map[string]map[string]float64{}
	for name, server := range s.sides() {
		callers := []caller{as(t, server, "all-token"), as(t, server, "mail-token"), as(t, server, "admin-token"), as(t, server, s.token)}
		for _, c := range callers { // connections, and what is remembered of signatures
			c.mustPost(t, 201, reviewsPath, reviewOf(s.token))
		}
		before := series(t)
		for _, c := range callers {
			for range 3 {
				c.mustPost(t, 201, reviewsPath, reviewOf(s.token))
				c.mustPost(t, 201, reviewsPath, reviewOf("wrong"))
				c.mustPost(t, 201, requestPath, tokenBody)
				c.mustPost(t, 201, listsPath, listOf(s.token, "wrong", "", s.token))
				c.mustPost(t, 201, requestPath+"?timeout=20s", tokenBody)
			}
		}
		as(t, server, "nobody-token").mustPost(t, 403, requestPath, tokenBody)
		as(t, server, "nobody-token").mustPost(t, 403, reviewsPath, reviewOf(s.token))
		overHTTP1(t, server, "unknown-token").mustPost(t, 401, reviewsPath, reviewOf(s.token))
		as(t, server, "unknown-token").mustPost(t, 401, reviewsPath, reviewOf(s.token))
		as(t, server, "all-token").mustPost(t, 201, reviewsPath, reviewOf(s.token), "User-Agent: curl/8")
		grown[name] = map[string]float64{}
		for series, value := range series(t) {
			if value != before[series] && !ownAffair(series) {
				grown[name][series] = value - before[series]
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(grown["generic"])) {
		if got, want := grown["fast"][name], grown["generic"][name]; got != want {
			t.Errorf("%s: %v on the fast path, %v in the generic chain", name, got, want)
		}
		delete(grown["fast"], name)
	}
	for name, value := range grown["fast"] {
		if want := map[string]float64{"answered": 63, "handed-over": 1}; !strings.HasPrefix(name, "mintmark_fastpath_requests_total ") ||
			value != want[strings.Trim(strings.TrimPrefix(name, "mintmark_fastpath_requests_total outcome="), `"`)] {
			t.Errorf("%s: %v on the fast path, nothing in the generic chain", name, value)
		}
	}
	if len(grown["generic"]) < 15 {
		t.Errorf("only %d series grew", len(grown["generic"]))
	}
}

// ownAffair says which series depend on more than the requests that are sent.
func ownAffair(series string) bool {
	switch series {
	case `apiserver_request_filter_duration_seconds filter="audit"`, `apiserver_request_filter_duration_seconds filter="constrainedimpersonation"`:
		return true // filters that there are none of on the fast path: it audits as it goes, and impersonates nobody
	}
	name, _, _ := strings.Cut(series, " ")
	for _, prefix := range []string{
		"go_", "process_", "grpc_", "etcd_", "workqueue_", "rest_client_", // the process, and what it asks of others
		"apiserver_storage_", "apiserver_watch_", "storage_", // what the store sends by itself
		"apiserver_client_certificate_", "apiserver_delegated_", "hidden_", "registered_",
	} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}
