package registry_test

import (
	"testing"
	"time"
)

func TestNamespaceGoesInTwoSteps(t *testing.T) {
	s := newServer(t)
	s.run(
		step{request: "POST /api/v1/namespaces", body: `metadata: {name: a}`, status: 201},
		step{
			request: "DELETE /api/v1/namespaces/a", body: `preconditions: {uid: other}`, status: 409,
			want: `reason: Conflict`,
		},
		step{
			request: "DELETE /api/v1/namespaces/a?dryRun=All", status: 200,
			want: `status: {phase: Terminating}`,
		},
		step{
			request: "GET /api/v1/namespaces/a", status: 200,
			want: `{metadata: {deletionTimestamp: null}, status: {phase: Active}}`,
		},
		step{
			request: "DELETE /api/v1/namespaces/a", status: 200,
			want: `{kind: Namespace, spec: {finalizers: [kubernetes]}, status: {phase: Terminating}}`,
		},
		step{
			request: "DELETE /api/v1/namespaces/a", status: 200,
			want: `{kind: Namespace, spec: {finalizers: [kubernetes]}, status: {phase: Terminating}}`,
		},
		step{
			request: "PUT /api/v1/namespaces/a", body: `{metadata: {name: a, labels: {b: c}}, spec: {finalizers: []}}`, status: 200,
			want: `{metadata: {labels: {b: c, kubernetes.io/metadata.name: a}}, spec: {finalizers: [kubernetes]}}`,
		},
		step{
			request: "PUT /api/v1/namespaces/a/status", body: `{metadata: {name: a}, status: {phase: Active}}`, status: 422,
			want: "message: 'Namespace \"a\" is invalid: status.Phase: Invalid value: \"Active\": " +
				"may only be ''Terminating'' if `deletionTimestamp` is not empty'",
		},
		step{
			request: "PUT /api/v1/namespaces/a/finalize", body: `{metadata: {name: a}, spec: {finalizers: []}}`, status: 200,
			want: `{kind: Namespace, spec: {finalizers: null}}`,
		},
		step{request: "GET /api/v1/namespaces/a", status: 404},
		step{request: "DELETE /api/v1/namespaces", status: 405},
		step{request: "GET /api/v1/namespaces/a/finalize", status: 405},
	)
}

func TestNamespaceGetsItsGeneratedNameAsLabel(t *testing.T) {
	s := newServer(t)
	got, _ := s.do("POST /api/v1/namespaces", `metadata: {generateName: a-}`)
	metadata := got.(map[string]any)["metadata"].(map[string]any)
	if label := metadata["labels"].(map[string]any)["kubernetes.io/metadata.name"]; label != metadata["name"] {
		t.Errorf("label %q of namespace %q", label, metadata["name"])
	}
}

const web = `
metadata: {name: web, labels: {app: web}}
spec: {serviceAccountName: app, containers: [{name: main, image: none}]}
`

func TestPodGetsItsNodeByBinding(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/namespaces/a/pods", body: web, status: 201, want: `{spec: {nodeName: null}, status: {phase: Pending}}`},
		step{
			request: "PATCH /api/v1/namespaces/a/pods/web", headers: []string{"Content-Type: application/merge-patch+json"},
			body: `spec: {nodeName: worker}`, status: 422,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding", body: `{metadata: {name: other}, target: {name: worker}}`, status: 400,
			want: `message: name in URL does not match name in Binding object`,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding", body: `{metadata: {name: web}, target: {kind: Node}}`, status: 500,
			want: `message: 'target.name: Required value'`,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/other/binding", body: `{metadata: {name: other}, target: {name: worker}}`, status: 404,
			want: `message: pods "other" not found`,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding?dryRun=All", body: `{metadata: {name: web}, target: {name: worker}}`, status: 201,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding", status: 201,
			body: `{metadata: {name: web, annotations: {by: hand}}, target: {kind: Node, name: worker}}`,
			want: `{kind: Status, status: Success}`,
		},
		step{
			request: "GET /api/v1/namespaces/a/pods/web", status: 200,
			want: `{metadata: {annotations: {by: hand}}, spec: {nodeName: worker}, status: {conditions: [{type: PodScheduled, status: "True"}]}}`,
		},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding", body: `{metadata: {name: web}, target: {name: other}}`, status: 409,
			want: `message: 'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "worker"'`,
		},
		step{request: "DELETE /api/v1/namespaces/a/pods/web", status: 200, want: `metadata: {deletionGracePeriodSeconds: 30}`},
		step{
			request: "POST /api/v1/namespaces/a/pods/web/binding", body: `{metadata: {name: web}, target: {name: other}}`, status: 409,
			want: `message: 'Operation cannot be fulfilled on pods/binding "web": pod web is being deleted, cannot be assigned to a host'`,
		},
	)
}

func TestPodGoesWithGrace(t *testing.T) {
	s := newServer(t, "a")
	s.run(
		step{request: "POST /api/v1/namespaces/a/pods", body: web, status: 201},
		step{request: "POST /api/v1/namespaces/a/pods/web/binding", body: `{metadata: {name: web}, target: {name: worker}}`, status: 201},
	)
	before := time.Now()
	got, _ := s.do("DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=60", "")
	text := got.(map[string]any)["metadata"].(map[string]any)["deletionTimestamp"].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	if wait := at.Sub(before); wait < 58*time.Second || wait > 62*time.Second {
		t.Errorf("to be deleted in %v, want a minute", wait)
	}
	same := `metadata: {deletionTimestamp: "` + text + `", deletionGracePeriodSeconds: 60}`
	s.run(
		step{request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=90", status: 200, want: same},
		step{request: "DELETE /api/v1/namespaces/a/pods/web", status: 200, want: same},
		step{
			request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=10", status: 200,
			want: `metadata: {deletionGracePeriodSeconds: 10, generation: 2}`,
		},
		step{request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=0", status: 200, want: `kind: Pod`},
		step{request: "GET /api/v1/namespaces/a/pods/web", status: 404},

		step{request: "POST /api/v1/namespaces/a/pods", body: web, status: 201},
		step{request: "DELETE /api/v1/namespaces/a/pods/web", status: 200, want: `{kind: Pod, metadata: {deletionGracePeriodSeconds: 0}}`},
		step{request: "GET /api/v1/namespaces/a/pods/web", status: 404},
	)
}

// Upstream, admission would give the pod an account and a volume with a token.
func TestPodGetsDefaultsOnly(t *testing.T) {
	s := newServer(t, "a")
	s.run(step{
		request: "POST /api/v1/namespaces/a/pods", body: `{metadata: {name: web}, spec: {containers: [{name: main, image: none}]}}`, status: 201,
		want: `
metadata: {generation: 1, annotations: null, labels: null}
spec:
  serviceAccountName: null
  serviceAccount: null
  volumes: null
  tolerations: null
  priority: null
  restartPolicy: Always
  dnsPolicy: ClusterFirst
  schedulerName: default-scheduler
  securityContext: {}
  terminationGracePeriodSeconds: 30
  containers:
  - name: main
    imagePullPolicy: Always
    terminationMessagePath: /dev/termination-log
    terminationMessagePolicy: File
    resources: {}
    volumeMounts: null
status: {phase: Pending, qosClass: BestEffort}
`,
	})
}

func TestDeletionsAnswer(t *testing.T) {
	s := newServer(t, "a")
	for _, test := range []struct{ path, kind, want string }{
		{"/api/v1/namespaces/a/serviceaccounts", "", `{kind: ServiceAccount, metadata: {name: x}}`},
		{"/api/v1/namespaces/a/secrets", "", `{kind: Status, status: Success, details: {name: x, kind: secrets}}`},
		{"/api/v1/nodes", "", `{kind: Status, status: Success, details: {name: x, kind: nodes}}`},
	} {
		s.run(
			step{request: "POST " + test.path, body: `metadata: {name: x}`, status: 201},
			step{request: "DELETE " + test.path + "/x", status: 200, want: test.want},
			step{request: "GET " + test.path + "/x", status: 404},
			step{request: "POST " + test.path, body: `metadata: {name: x, finalizers: [example.com/wait]}`, status: 201},
			step{request: "DELETE " + test.path + "/x", status: 200},
			step{request: "GET " + test.path + "/x", status: 200, want: `metadata: {deletionGracePeriodSeconds: 0}`},
			step{request: "PUT " + test.path + "/x", body: `metadata: {name: x}`, status: 200},
			step{request: "GET " + test.path + "/x", status: 404},
			step{request: "PUT " + test.path + "/x", body: `metadata: {name: x}`, status: 404},
		)
	}
}
