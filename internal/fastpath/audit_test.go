package fastpath_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	auditv1 "k8s.io/apiserver/pkg/apis/audit/v1"
)

const auditPolicy = `
apiVersion: audit.k8s.io/v1
kind: Policy
rules:
- {level: None, users: [none]}
- {level: RequestResponse, users: [all]}
- {level: Metadata, users: [late], omitStages: [RequestReceived]}
- {level: Metadata, users: [early], omitStages: [ResponseComplete]}
- {level: Metadata}
`

var auditUsers = []string{
	`none-token,none,none-uid,reviewers`, `all-token,all,all-uid,"reviewers,more"`, `late-token,late,late-uid,reviewers`,
	`early-token,early,early-uid,reviewers`, `nobody-token,nobody,nobody-uid`,
}

// TestAudit has both transports answer the same requests, of callers who are audited in all ways there are, and compares
// the records.
func TestAudit(t *testing.T) {
	t.Parallel()
	for name, flags := range map[string][]string{"alone": nil, "traced": {newCollector(t).flag}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			testAudit(t, flags)
		})
	}
}

func testAudit(t *testing.T, flags []string) {
	dir := t.TempDir()
	policy := write(t, "policy.yaml", auditPolicy)
	hook := newWebhook(t)
	s := start(t, auditUsers, append(flags, "--audit-policy-file="+policy, "--audit-log-path="+filepath.Join(dir, "{side}.log"), hook.flag, "--authentication-token-webhook-cache-ttl=0")...)
	callers := []string{"none-token", "all-token", "late-token", "early-token", "nobody-token", s.token}
	bodies := map[string][]string{requestPath: {tokenBody}, reviewsPath: {reviewOf(s.token), reviewOf("wrong"), reviewOf("slow")}, listsPath: {listOf(s.token, "wrong", "", "slow")}}
	var ids []string
	for i, token := range callers {
		for path, texts := range bodies {
			for j, body := range texts {
				id := fmt.Sprint("id-", i, "-", j, "-", filepath.Base(path))
				ids = append(ids, id)
				one, err := as(t, s.generic, token).post(t.Context(), path, body, "Audit-Id: "+id, "User-Agent: auditor/1")
				if err != nil {
					t.Fatal(err)
				}
				as(t, s.fast, token).mustPost(t, one.status, path, body, "Audit-Id: "+id, "User-Agent: auditor/1")
			}
		}
	}
	generic, fast := events(t, filepath.Join(dir, "generic.log")), events(t, filepath.Join(dir, "fast.log"))
	recorded := 0
	for _, id := range ids {
		recorded += len(generic[id])
		if diff := cmp.Diff(generic[id], fast[id]); diff != "" {
			t.Errorf("%s: generic chain -, fast path +:\n%s", id, diff)
		}
	}
	// Nothing is recorded of one caller, one record is left out of the two of two others.
	if want := len(ids) / len(callers) * (0 + 2 + 1 + 1 + 2 + 2); recorded != want {
		t.Errorf("%d records, want %d", recorded, want)
	}
}

// events are the records in a file by the id of their request, without what differs from one to the next.
func events(t *testing.T, file string) map[string][]auditv1.Event {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]auditv1.Event{}
	for line := range bytes.Lines(text) {
		var event auditv1.Event
		if err := json.Unmarshal(line, &event); err != nil {
			t.Fatal(err)
		}
		for name, value := range event.Annotations {
			if strings.HasPrefix(name, "apiserver.latency.k8s.io/") {
				if _, err := time.ParseDuration(value); err == nil {
					event.Annotations[name] = "some time"
				}
			}
			if name == "authentication.kubernetes.io/issued-credential-id" && strings.HasPrefix(value, "JTI=") {
				event.Annotations[name] = "JTI=some"
			}
			if name == "authentication.mintmark.io/expires" {
				if _, err := time.Parse(time.RFC3339, value); err == nil {
					event.Annotations[name] = "some day"
				}
			}
		}
		if event.RequestReceivedTimestamp.IsZero() || event.StageTimestamp.Before(&event.RequestReceivedTimestamp) {
			t.Errorf("%s: received %v, %s %v", event.AuditID, event.RequestReceivedTimestamp, event.Stage, event.StageTimestamp)
		}
		event.RequestReceivedTimestamp.Reset()
		event.StageTimestamp.Reset()
		all[string(event.AuditID)] = append(all[string(event.AuditID)], event)
	}
	return all
}

func write(t *testing.T, name, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
