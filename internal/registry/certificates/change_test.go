package certificates_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	applied    = "Content-Type: application/apply-patch+yaml"
	merged     = "Content-Type: application/merge-patch+json"
	strategic  = "Content-Type: application/strategic-merge-patch+json"
	operations = "Content-Type: application/json-patch+json"
)

// approval is an approval as a client applies it.
const approval = `
apiVersion: certificates.k8s.io/v1
kind: CertificateSigningRequest
metadata: {name: ada}
status: {conditions: [{type: Approved, status: "True", reason: %s, message: %[1]s}]}
`

// All kinds of patches approve. Applied conditions belong to whoever applied them: another manager gets a conflict until it insists,
// and a manager that leaves its approval out can't take it back.
func TestPatchesOfApprovals(t *testing.T) {
	admin := newServer(t)
	request := signed(t, newKey(t))
	const condition = `{"type":"Approved","status":"True","reason":"Fine"}`
	for header, patch := range map[string]string{
		merged:     `{"status":{"conditions":[` + condition + `]}}`,
		strategic:  `{"status":{"conditions":[` + condition + `]}}`,
		operations: `[{"op":"add","path":"/status/conditions","value":[` + condition + `]}]`,
	} {
		name := strings.TrimPrefix(strings.TrimSuffix(header[strings.LastIndex(header, "/")+1:], "+json"), "x")
		admin.Run(
			testserver.Step{Request: "POST " + requests, Body: body(name, request), Status: 201},
			testserver.Step{
				Request: "PATCH " + requests + "/" + name + "/approval", Headers: []string{header}, Body: patch,
				Status: 200, Want: "status: {conditions: [{type: Approved, status: 'True', reason: Fine}]}",
			},
		)
	}
	path := "PATCH " + requests + "/ada/approval?fieldManager="
	apply := []string{applied}
	admin.Run(
		testserver.Step{Request: path + "one", Headers: apply, Body: fmt.Sprintf(approval, "First"), Status: 404},
		testserver.Step{Request: "POST " + requests, Body: body("ada", request), Status: 201},
		testserver.Step{Request: path + "one", Headers: apply, Body: fmt.Sprintf(approval, "First"), Status: 200},
		testserver.Step{
			Request: path + "two", Headers: apply, Body: fmt.Sprintf(approval, "Second"), Status: 409, Want: "reason: Conflict",
		},
		testserver.Step{
			Request: path + "two&force=true", Headers: apply, Body: fmt.Sprintf(approval, "Second"),
			Status: 200, Want: "status: {conditions: [{type: Approved, reason: Second}]}",
		},
		testserver.Step{
			Request: path + "two", Headers: apply, Body: "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: ada}",
			Status: 200, Want: "status: {conditions: [{type: Approved, status: 'True'}]}", // one still has the condition
		},
		testserver.Step{
			Request: path + "one", Headers: apply, Body: "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\nmetadata: {name: ada}",
			Status: 422, Want: `details: {causes: [{field: status.conditions, message: 'Forbidden: updates may not remove a condition of type "Approved"'}]}`,
		},
		testserver.Step{
			Request: "PATCH " + requests + "/ada/approval", Headers: []string{merged}, Body: `{"metadata":{"resourceVersion":"1"},"status":{"conditions":[]}}`,
			Status: 409, Want: "reason: Conflict",
		},
	)
}

// What a path doesn't write, no manager owns through it.
func TestManagedFields(t *testing.T) {
	admin := newServer(t)
	request := signed(t, newKey(t))
	whole := "apiVersion: certificates.k8s.io/v1\nkind: CertificateSigningRequest\n" +
		strings.Replace(body("ada", request), "{name: ada}", "{name: ada, labels: {a: b}}", 1) +
		"\nstatus: {certificate: " + issued(t, time.Hour) + ", conditions: [{type: Approved, status: 'True'}]}"
	admin.Run(
		testserver.Step{Request: "PATCH " + requests + "/ada?fieldManager=object", Headers: []string{applied}, Body: whole, Status: 201, Want: "status: {}"},
		testserver.Step{Request: "PATCH " + requests + "/ada/approval?fieldManager=approval", Headers: []string{applied}, Body: whole, Status: 200},
		testserver.Step{Request: "PATCH " + requests + "/ada/status?fieldManager=status", Headers: []string{applied}, Body: whole, Status: 200},
	)
	answer, _ := admin.Do("GET "+requests+"/ada", "")
	entries, _ := answer.(map[string]any)["metadata"].(map[string]any)["managedFields"].([]any)
	owned := map[string]string{}
	for _, entry := range entries {
		fields, err := json.Marshal(entry.(map[string]any)["fieldsV1"])
		if err != nil {
			t.Fatal(err)
		}
		owned[entry.(map[string]any)["manager"].(string)] = string(fields)
	}
	const labels = `"f:metadata":{"f:labels":{"f:a":{}}}`
	const condition = `{"k:{\"type\":\"Approved\"}":{".":{},"f:status":{},"f:type":{}}}`
	for manager, want := range map[string]string{
		"object":   "{" + labels + "}",
		"approval": "{" + labels + `,"f:status":{"f:conditions":` + condition + "}}",
		"status":   "{" + labels + `,"f:status":{"f:certificate":{}}}`,
	} {
		if owned[manager] != want {
			t.Errorf("%s owns %s, want %s", manager, owned[manager], want)
		}
	}
}
