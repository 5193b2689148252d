package registry_test

import (
	"strings"
	"testing"
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
	s.run(
		step{request: "POST /api/v1/nodes", body: `{metadata: {name: up}}`, status: 201},
		step{request: "POST /api/v1/nodes", body: `{metadata: {name: down}, spec: {unschedulable: true}}`, status: 201},
		step{request: "POST /api/v1/namespaces/a/secrets", body: `{metadata: {name: plain}}`, status: 201},
		step{request: "POST /api/v1/namespaces/a/secrets", body: `{metadata: {name: typed}, type: mine}`, status: 201},
		step{
			request: "POST /api/v1/namespaces/a/pods", status: 201,
			body: `{metadata: {name: here}, spec: {nodeName: up, hostNetwork: true, serviceAccountName: app, containers: [{name: c, image: i}]}}`,
		},
		step{
			request: "POST /api/v1/namespaces/b/pods", status: 201,
			body: `{metadata: {name: there}, spec: {nodeName: down, restartPolicy: Never, schedulerName: mine, containers: [{name: c, image: i}]}}`,
		},
		step{
			request: "PUT /api/v1/namespaces/b/pods/there/status", status: 200,
			body: `{metadata: {name: there}, status: {phase: Running, podIP: 10.0.0.1, nominatedNodeName: other}}`,
		},
		step{request: "DELETE /api/v1/namespaces/b", status: 200},
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
		s.run(step{request: request, status: 200, want: want})
	}
	s.run(step{
		request: "GET /api/v1/pods?fieldSelector=spec.containers%3Dx", status: 400,
		want: `message: 'field label not supported: spec.containers'`,
	})
}

func TestPatches(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/namespaces/a/secrets", body: `{metadata: {name: s}, stringData: {a: eins}}`, status: 201, want: `data: {a: ZWlucw==}`},
		step{
			request: "PATCH /api/v1/namespaces/a/secrets/s", headers: []string{merge}, body: `stringData: {b: zwei}`, status: 200,
			want: `{data: {a: ZWlucw==, b: endlaQ==}, stringData: null}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/secrets/s", headers: []string{strategy}, body: `{data: {a: null}, stringData: {b: drei}}`, status: 200,
			want: `{data: {a: null, b: ZHJlaQ==}, stringData: null}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/secrets/s", headers: []string{jsonType}, status: 200,
			body: `[{op: remove, path: /data/b}]`,
			want: `{data: null, type: Opaque}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/secrets/new?fieldManager=me", headers: []string{apply}, status: 201,
			body: `{apiVersion: v1, kind: Secret, metadata: {name: new}, stringData: {a: eins}}`,
			want: `{data: {a: ZWlucw==}, type: Opaque}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/pods/web?fieldManager=me", headers: []string{apply}, status: 201,
			body: `{apiVersion: v1, kind: Pod, metadata: {name: web}, spec: {containers: [{name: c, image: i}]}, status: {phase: Running}}`,
			want: `{status: {phase: Pending}, metadata: {managedFields: [{manager: me, fieldsV1: {"f:status": null}}]}}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/pods/web", headers: []string{strategy}, status: 200,
			body: `spec: {containers: [{name: c, image: j}]}`,
			want: `{metadata: {generation: 2}, spec: {containers: [{name: c, image: j}]}}`,
		},
		step{
			request: "PATCH /api/v1/namespaces/a/pods/web/status", headers: []string{merge}, status: 200,
			body: `{spec: {containers: null}, status: {phase: Running, qosClass: Guaranteed}}`,
			want: `{metadata: {generation: 2}, spec: {containers: [{name: c, image: j}]}, status: {phase: Running, qosClass: BestEffort}}`,
		},
	)
}

func TestDeleteCollection(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/namespaces/a/serviceaccounts", body: `metadata: {name: goes, labels: {go: now}}`, status: 201},
		step{request: "POST /api/v1/namespaces/a/serviceaccounts", body: `metadata: {name: stays}`, status: 201},
		step{
			request: "DELETE /api/v1/namespaces/a/serviceaccounts?labelSelector=go%3Dnow", status: 200,
			want: `{kind: ServiceAccountList, items: [{metadata: {name: goes}}]}`,
		},
		step{
			request: "GET /api/v1/namespaces/a/serviceaccounts", status: 200,
			want: `{kind: ServiceAccountList, items: [{kind: null, apiVersion: null, metadata: {name: stays}}]}`,
		},
	)
}

func TestTables(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/namespaces/a/pods", body: web, status: 201},
		step{
			request: "GET /api/v1/namespaces/a/pods", headers: []string{asTable}, status: 200,
			want: `
kind: Table
columnDefinitions: [{name: Name, format: name}, {name: Ready}, {name: Status}, {name: Restarts}, {name: Age},
  {name: IP, priority: 1}, {name: Node, priority: 1}, {name: Nominated Node, priority: 1}, {name: Readiness Gates, priority: 1}]
rows: [{cells: [web, 0/1, Pending, "0", 0s, <none>, <none>, <none>, <none>], object: {kind: PartialObjectMetadata, metadata: {name: web}}}]
`,
		},
		step{
			request: "GET /api/v1/namespaces/a/pods/web/status", headers: []string{asTable}, status: 200,
			want: `{kind: Table, rows: [{object: {metadata: {name: web}}}]}`,
		},
		step{
			request: "GET /api/v1/nodes", headers: []string{asTable}, status: 200,
			want: `{kind: Table, rows: []}`,
		},
		step{
			request: "DELETE /api/v1/namespaces/a/pods/web", headers: []string{asTable}, status: 200,
			want: `{kind: Table, rows: [{object: {metadata: {name: web}}}]}`,
		},
	)
}

func TestUpdates(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/nodes", body: `{metadata: {name: worker}, status: {capacity: {cpu: "1"}}}`, status: 201, want: `status: {allocatable: {cpu: "1"}}`},
		step{
			request: "PUT /api/v1/nodes/worker", body: `{metadata: {name: worker}, spec: {unschedulable: true}, status: {capacity: {cpu: "2"}}}`, status: 200,
			want: `{spec: {unschedulable: true}, status: {capacity: {cpu: "1"}}}`,
		},
		step{
			request: "PUT /api/v1/nodes/worker/status", body: `{metadata: {name: worker}, status: {capacity: {cpu: "2"}}}`, status: 200,
			want: `{spec: {unschedulable: true}, status: {capacity: {cpu: "2"}}}`,
		},
		step{
			request: "PUT /api/v1/nodes/worker", body: `{metadata: {name: worker, resourceVersion: "1"}}`, status: 409,
			want: `message: 'Operation cannot be fulfilled on nodes "worker": the object has been modified; please apply your changes to the latest version and try again'`,
		},
	)
}
