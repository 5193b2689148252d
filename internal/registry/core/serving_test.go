package core_test

import (
	"strings"
	"testing"

	"github.com/mintmark/mintmark/internal/testserver"
)

const (
	asTable  = "Accept: application/json;as=Table;g=meta.k8s.io;v=v1"
	merge    = "Content-Type: application/merge-patch+json"
	jsonType = "Content-Type: application/json-patch+json"
	strategy = "Content-Type: application/strategic-merge-patch+json"
	apply    = "Content-Type: application/apply-patch+yaml"
)

func TestFieldSelectors(t *testing.T) {
	s := newServer(t, "a", "b")
	s.Run(
		testserver.Step{Request: "POST /api/v1/nodes", Body: `{metadata: {name: up}}`, Status: 201},
		testserver.Step{Request: "POST /api/v1/nodes", Body: `{metadata: {name: down}, spec: {unschedulable: true}}`, Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/a/secrets", Body: `{metadata: {name: plain}}`, Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/a/secrets", Body: `{metadata: {name: typed}, type: mine}`, Status: 201},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods", Status: 201,
			Body: `{metadata: {name: here}, spec: {nodeName: up, hostNetwork: true, serviceAccountName: app, containers: [{name: c, image: i}]}}`,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/b/pods", Status: 201,
			Body: `{metadata: {name: there}, spec: {nodeName: down, restartPolicy: Never, schedulerName: mine, containers: [{name: c, image: i}]}}`,
		},
		testserver.Step{
			Request: "PUT /api/v1/namespaces/b/pods/there/status", Status: 200,
			Body: `{metadata: {name: there}, status: {phase: Running, podIP: 10.0.0.1, nominatedNodeName: other}}`,
		},
		testserver.Step{Request: "DELETE /api/v1/namespaces/b", Status: 200},
	)
	for _, test := range []struct{ path, selector, want string }{
		{"namespaces", "metadata.name=a", "a"},
		{"namespaces", "name=b", "b"},
		{"namespaces", "status.phase=Terminating", "b"},
		{"nodes", "spec.unschedulable=true", "down"},
		{"nodes", "metadata.name!=down", "up"},
		{"namespaces/a/secrets", "type=mine", "typed"},
		{"secrets", "metadata.namespace=a,type=Opaque", "plain"},
		{"pods", "spec.nodeName=up", "here"},
		{"pods", "spec.host=down", "there"},
		{"pods", "spec.hostNetwork=true", "here"},
		{"pods", "spec.serviceAccountName=app", "here"},
		{"pods", "spec.restartPolicy=Never", "there"},
		{"pods", "spec.schedulerName!=mine", "here"},
		{"pods", "status.phase=Running", "there"},
		{"pods", "status.podIP=10.0.0.1", "there"},
		{"pods", "status.nominatedNodeName=other", "there"},
		{"namespaces/a/pods", "status.phase=Running", ""},
	} {
		request := "GET /api/v1/" + test.path + "?fieldSelector=" + strings.ReplaceAll(test.selector, "=", "%3D")
		want := `items: []`
		if test.want != "" {
			want = `items: [{metadata: {name: ` + test.want + `}}]`
		}
		s.Run(testserver.Step{Request: request, Status: 200, Want: want})
	}
	s.Run(testserver.Step{
		Request: "GET /api/v1/pods?fieldSelector=spec.containers%3Dx", Status: 400,
		Want: `message: 'field label not supported: spec.containers'`,
	})
}

func TestPatches(t *testing.T) {
	s := newServer(t, "a")
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/a/secrets", Body: `{metadata: {name: s}, stringData: {a: eins}}`, Status: 201, Want: `data: {a: ZWlucw==}`},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/secrets/s", Headers: []string{merge}, Body: `stringData: {b: zwei}`, Status: 200,
			Want: `{data: {a: ZWlucw==, b: endlaQ==}, stringData: null}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/secrets/s", Headers: []string{strategy}, Body: `{data: {a: null}, stringData: {b: drei}}`, Status: 200,
			Want: `{data: {a: null, b: ZHJlaQ==}, stringData: null}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/secrets/s", Headers: []string{jsonType}, Status: 200,
			Body: `[{op: remove, path: /data/b}]`,
			Want: `{data: null, type: Opaque}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/secrets/new?fieldManager=me", Headers: []string{apply}, Status: 201,
			Body: `{apiVersion: v1, kind: Secret, metadata: {name: new}, stringData: {a: eins}}`,
			Want: `{data: {a: ZWlucw==}, type: Opaque}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/pods/web?fieldManager=me", Headers: []string{apply}, Status: 201,
			Body: `{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running}}`,
			Want: `{status: {phase: Pending}, metadata: {managedFields: [{manager: me, fieldsV1: {"f:status": null}}]}}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/pods/web", Headers: []string{strategy}, Status: 200,
			Body: `spec: {containers: [{name: c, image: j}]}`,
			Want: `{metadata: {generation: 2}, spec: {containers: [{name: c, image: j}]}}`,
		},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/pods/web/status", Headers: []string{merge}, Status: 200,
			Body: `{spec: {containers: null}, status: {phase: Running, qosClass: Guaranteed}}`,
			Want: `{metadata: {generation: 2}, spec: {containers: [{name: c, image: j}]}, status: {phase: Running, qosClass: BestEffort}}`,
		},
	)
}

func TestDeleteCollection(t *testing.T) {
	s := newServer(t, "a")
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/a/serviceaccounts", Body: `metadata: {name: goes, labels: {go: now}}`, Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/a/serviceaccounts", Body: `metadata: {name: stays}`, Status: 201},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a/serviceaccounts?labelSelector=go%3Dnow", Status: 200,
			Want: `{kind: ServiceAccountList, items: [{metadata: {name: goes}}]}`,
		},
		testserver.Step{
			Request: "GET /api/v1/namespaces/a/serviceaccounts", Status: 200,
			Want: `{kind: ServiceAccountList, items: [{kind: null, apiVersion: null, metadata: {name: stays}}]}`,
		},
	)
}

func TestTables(t *testing.T) {
	s := newServer(t, "a")
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/a/pods", Body: web, Status: 201},
		testserver.Step{
			Request: "GET /api/v1/namespaces/a/pods", Headers: []string{asTable}, Status: 200,
			Want: `
kind: Table
columnDefinitions: [{name: Name, format: name}, {name: Ready}, {name: Status}, {name: Restarts}, {name: Age},
  {name: IP, priority: 1}, {name: Node, priority: 1}, {name: Nominated Node, priority: 1}, {name: Readiness Gates, priority: 1}]
rows: [{cells: [web, 0/1, Pending, "0", 0s, <none>, <none>, <none>, <none>], object: {kind: PartialObjectMetadata, metadata: {name: web}}}]
`,
		},
		testserver.Step{
			Request: "GET /api/v1/namespaces/a/pods/web/status", Headers: []string{asTable}, Status: 200,
			Want: `{kind: Table, rows: [{object: {metadata: {name: web}}}]}`,
		},
		testserver.Step{
			Request: "GET /api/v1/nodes", Headers: []string{asTable}, Status: 200,
			Want: `{kind: Table, rows: []}`,
		},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a/pods/web", Headers: []string{asTable}, Status: 200,
			Want: `{kind: Table, rows: [{object: {metadata: {name: web}}}]}`,
		},
	)
}

func TestUpdates(t *testing.T) {
	s := newServer(t, "a")
	s.Run(
		testserver.Step{Request: "POST /api/v1/nodes", Body: `{metadata: {name: worker}, status: {capacity: {cpu: "1"}}}`, Status: 201, Want: `status: {allocatable: {cpu: "1"}}`},
		testserver.Step{
			Request: "PUT /api/v1/nodes/worker", Body: `{metadata: {name: worker}, spec: {unschedulable: true}, status: {capacity: {cpu: "2"}}}`, Status: 200,
			Want: `{spec: {unschedulable: true}, status: {capacity: {cpu: "1"}}}`,
		},
		testserver.Step{
			Request: "PUT /api/v1/nodes/worker/status", Body: `{metadata: {name: worker}, status: {capacity: {cpu: "2"}}}`, Status: 200,
			Want: `{spec: {unschedulable: true}, status: {capacity: {cpu: "2"}}}`,
		},
		testserver.Step{
			Request: "PUT /api/v1/nodes/worker", Body: `{metadata: {name: worker, resourceVersion: "1"}}`, Status: 409,
			Want: `message: 'Operation cannot be fulfilled on nodes "worker": the object has been modified; please apply your changes to the latest version and try again'`,
		},
	)
}
