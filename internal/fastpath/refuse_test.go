package fastpath_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	auditapi "k8s.io/apiserver/pkg/apis/audit"
)

// TestShed: a request that has no turn is told so at once. Its body is not read, and neither is the generic chain asked. If
// requests are recorded, this one is.
func TestShed(t *testing.T) {
	t.Parallel()
	for _, recorded := range []bool{false, true} {
		for path, resource := range map[string]string{reviewsPath: "tokenreviews", requestPath: "serviceaccounts"} {
			d, s := &doors{crowded: true}, &sink{}
			cfg := d.config()
			if recorded {
				cfg.Audit, cfg.AuditPolicy = s, s
			}
			answer := post(t, cfg, path, []byte("{no JSON"), "application/json")
			if answer.Code != http.StatusTooManyRequests || answer.Body.String() != "too many "+resource+"\n" {
				t.Errorf("%s: status %d, %q", path, answer.Code, answer.Body)
			}
			if d.passed != nil || d.spec != nil || d.asked != nil {
				t.Errorf("%s: the request went on", path)
			}
			var want []auditapi.Stage
			if recorded {
				want = []auditapi.Stage{auditapi.StageRequestReceived, auditapi.StageResponseComplete}
			}
			if diff := cmp.Diff(want, s.stages()); diff != "" {
				t.Errorf("%s: %s", path, diff)
			}
			if last := len(s.events) - 1; recorded && s.events[last].ResponseStatus.Code != http.StatusTooManyRequests {
				t.Errorf("%s: recorded with %d", path, s.events[last].ResponseStatus.Code)
			}
		}
	}
}

// TestForbidden: a caller without the right gets the same answer over both transports, byte for byte: of requests with and
// without an object, in JSON and protobuf, and with a reason of the authorizer in it.
func TestForbidden(t *testing.T) {
	t.Parallel()
	users := []string{"none-token,none,none-uid", `odd-token,"a <b> & ""c"" ü",odd-uid`, "lost-token,lost,lost-uid"}
	s := start(t, users)
	// The authorizer says that the role is missing.
	if _, err := s.generic.Admin().RbacV1().ClusterRoleBindings().Create(t.Context(), &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "lost"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "<missing>"},
		Subjects:   []rbacv1.Subject{{Kind: rbacv1.UserKind, APIGroup: rbacv1.GroupName, Name: "lost"}},
	}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	for _, server := range s.sides() {
		for told := ""; !strings.Contains(told, "missing"); {
			told = as(t, server, "lost-token").mustPost(t, http.StatusForbidden, reviewsPath, tokenBody).body
		}
	}
	for _, token := range []string{"none-token", "odd-token", "lost-token"} {
		for _, path := range []string{reviewsPath, requestPath, strings.Replace(requestPath, "/app/", "/a-b.c/", 1)} {
			for _, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf", "*/*"} {
				want := as(t, s.generic, token).mustPost(t, http.StatusForbidden, path, tokenBody, "Accept: "+accept, "Audit-Id: x")
				got := as(t, s.fast, token).mustPost(t, http.StatusForbidden, path, tokenBody, "Accept: "+accept, "Audit-Id: x")
				want.header.Del("Date")
				got.header.Del("Date")
				if diff := cmp.Diff(want.body, got.body); diff != "" {
					t.Errorf("%s: generic chain -, fast path +:\n%s", path, diff)
				}
				if diff := cmp.Diff(want.header, got.header); diff != "" {
					t.Errorf("%s: generic chain -, fast path +:\n%s", path, diff)
				}
			}
		}
	}
}

// TestUnauthorized: a caller whose token is refused gets the same answer over both transports, byte for byte.
func TestUnauthorized(t *testing.T) {
	t.Parallel()
	s := start(t, nil)
	forged := s.token[:strings.LastIndex(s.token, ".")+1] + "c2ln"
	for name, token := range map[string]string{"unknown": strings.Repeat("none", 12), "forged": forged} {
		for _, path := range []string{reviewsPath, requestPath, listsPath} {
			for _, accept := range []string{"application/json", "application/vnd.kubernetes.protobuf", "*/*", "application/json;as=Table;g=meta.k8s.io;v=v1"} {
				want := overHTTP1(t, s.generic, token).mustPost(t, http.StatusUnauthorized, path, tokenBody, "Accept: "+accept, "Audit-Id: x")
				got := overHTTP1(t, s.fast, token).mustPost(t, http.StatusUnauthorized, path, tokenBody, "Accept: "+accept, "Audit-Id: x")
				want.header.Del("Date")
				got.header.Del("Date")
				if diff := cmp.Diff(want, got, cmp.AllowUnexported(answer{})); diff != "" {
					t.Errorf("%s, %s, %s: generic chain -, fast path +:\n%s", name, path, accept, diff)
				}
			}
		}
	}
}
