package core_test

import (
	"testing"
	"time"

	"github.com/mintmark/mintmark/internal/testserver"
)

func TestNamespaceGoesInTwoSteps(t *testing.T) {
	s := newServer(t)
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces", Body: `metadata: {name: a}`, Status: 201},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a", Body: `preconditions: {uid: other}`, Status: 409,
			Want: `reason: Conflict`,
		},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a?dryRun=All", Status: 200,
			Want: `status: {phase: Terminating}`,
		},
		testserver.Step{
			Request: "GET /api/v1/namespaces/a", Status: 200,
			Want: `{metadata: {deletionTimestamp: null}, status: {phase: Active}}`,
		},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a", Status: 200,
			Want: `{kind: Namespace, spec: {finalizers: [kubernetes]}, status: {phase: Terminating}}`,
		},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a", Status: 200,
			Want: `{kind: Namespace, spec: {finalizers: [kubernetes]}, status: {phase: Terminating}}`,
		},
		testserver.Step{
			Request: "PUT /api/v1/namespaces/a", Body: `{metadata: {name: a, labels: {b: c}}, spec: {finalizers: []}}`, Status: 200,
			Want: `{metadata: {labels: {b: c, kubernetes.io/metadata.name: a}}, spec: {finalizers: [kubernetes]}}`,
		},
		testserver.Step{
			Request: "PUT /api/v1/namespaces/a/status", Body: `{metadata: {name: a}, status: {phase: Active}}`, Status: 422,
			Want: "message: 'Namespace \"a\" is invalid: status.Phase: Invalid value: \"Active\": " +
				"may only be ''Terminating'' if `deletionTimestamp` is not empty'",
		},
		testserver.Step{
			Request: "PUT /api/v1/namespaces/a/finalize", Body: `{metadata: {name: a}, spec: {finalizers: []}}`, Status: 200,
			Want: `{kind: Namespace, spec: {finalizers: null}}`,
		},
		testserver.Step{Request: "GET /api/v1/namespaces/a", Status: 404},
		testserver.Step{Request: "DELETE /api/v1/namespaces", Status: 405},
		testserver.Step{Request: "GET /api/v1/namespaces/a/finalize", Status: 405},
	)
}

func TestNamespaceGetsItsGeneratedNameAsLabel(t *testing.T) {
	s := newServer(t)
	got, _ := s.Do("POST /api/v1/namespaces", `metadata: {generateName: a-}`)
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
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/a/pods", Body: web, Status: 201, Want: `{spec: {nodeName: null}, status: {phase: Pending}}`},
		testserver.Step{
			Request: "PATCH /api/v1/namespaces/a/pods/web", Headers: []string{"Content-Type: application/merge-patch+json"},
			Body: `spec: {nodeName: worker}`, Status: 422,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding", Body: `{metadata: {name: other}, target: {name: worker}}`, Status: 400,
			Want: `message: name in URL does not match name in Binding object`,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding", Body: `{metadata: {name: web}, target: {kind: Node}}`, Status: 500,
			Want: `message: 'target.name: Required value'`,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/other/binding", Body: `{metadata: {name: other}, target: {name: worker}}`, Status: 404,
			Want: `message: pods "other" not found`,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding?dryRun=All", Body: `{metadata: {name: web}, target: {name: worker}}`, Status: 201,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding", Status: 201,
			Body: `{metadata: {name: web, annotations: {by: hand}}, target: {kind: Node, name: worker}}`,
			Want: `{kind: Status, status: Success}`,
		},
		testserver.Step{
			Request: "GET /api/v1/namespaces/a/pods/web", Status: 200,
			Want: `{metadata: {annotations: {by: hand}}, spec: {nodeName: worker}, status: {conditions: [{type: PodScheduled, status: "True"}]}}`,
		},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding", Body: `{metadata: {name: web}, target: {name: other}}`, Status: 409,
			Want: `message: 'Operation cannot be fulfilled on pods/binding "web": pod web is already assigned to node "worker"'`,
		},
		testserver.Step{Request: "DELETE /api/v1/namespaces/a/pods/web", Status: 200, Want: `metadata: {deletionGracePeriodSeconds: 30}`},
		testserver.Step{
			Request: "POST /api/v1/namespaces/a/pods/web/binding", Body: `{metadata: {name: web}, target: {name: other}}`, Status: 409,
			Want: `message: 'Operation cannot be fulfilled on pods/binding "web": pod web is being deleted, cannot be assigned to a host'`,
		},
	)
}

func TestPodGoesWithGrace(t *testing.T) {
	s := newServer(t, "a")
	s.Run(
		testserver.Step{Request: "POST /api/v1/namespaces/a/pods", Body: web, Status: 201},
		testserver.Step{Request: "POST /api/v1/namespaces/a/pods/web/binding", Body: `{metadata: {name: web}, target: {name: worker}}`, Status: 201},
	)
	before := time.Now()
	got, _ := s.Do("DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=60", "")
	text := got.(map[string]any)["metadata"].(map[string]any)["deletionTimestamp"].(string)
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		t.Fatal(err)
	}
	if wait := at.Sub(before); wait < 58*time.Second || wait > 62*time.Second {
		t.Errorf("to be deleted in %v, want a minute", wait)
	}
	same := `metadata: {deletionTimestamp: "` + text + `", deletionGracePeriodSeconds: 60}`
	s.Run(
		testserver.Step{Request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=90", Status: 200, Want: same},
		testserver.Step{Request: "DELETE /api/v1/namespaces/a/pods/web", Status: 200, Want: same},
		testserver.Step{
			Request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=10", Status: 200,
			Want: `metadata: {deletionGracePeriodSeconds: 10, generation: 2}`,
		},
		testserver.Step{Request: "DELETE /api/v1/namespaces/a/pods/web?gracePeriodSeconds=0", Status: 200, Want: `kind: Pod`},
		testserver.Step{Request: "GET /api/v1/namespaces/a/pods/web", Status: 404},

		testserver.Step{Request: "POST /api/v1/namespaces/a/pods", Body: web, Status: 201},
		testserver.Step{Request: "DELETE /api/v1/namespaces/a/pods/web", Status: 200, Want: `{kind: Pod, metadata: {deletionGracePeriodSeconds: 0}}`},
		testserver.Step{Request: "GET /api/v1/namespaces/a/pods/web", Status: 404},
	)
}

// Upstream, admission would give the pod an account and a volume with a token.
func TestPodGetsDefaultsOnly(t *testing.T) {
	s := newServer(t, "a")
	s.Run(testserver.Step{
		Request: "POST /api/v1/namespaces/a/pods", Body: `{metadata: {name: web}, spec: {containers: [{name: main, image: none}]}}`, Status: 201,
		Want: `
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
		s.Run(
			testserver.Step{Request: "POST " + test.path, Body: `metadata: {name: x}`, Status: 201},
			testserver.Step{Request: "DELETE " + test.path + "/x", Status: 200, Want: test.want},
			testserver.Step{Request: "GET " + test.path + "/x", Status: 404},
			testserver.Step{Request: "POST " + test.path, Body: `metadata: {name: x, finalizers: [example.com/wait]}`, Status: 201},
			testserver.Step{Request: "DELETE " + test.path + "/x", Status: 200},
			testserver.Step{Request: "GET " + test.path + "/x", Status: 200, Want: `metadata: {deletionGracePeriodSeconds: 0}`},
			testserver.Step{Request: "PUT " + test.path + "/x", Body: `metadata: {name: x}`, Status: 200},
			testserver.Step{Request: "GET " + test.path + "/x", Status: 404},
			testserver.Step{Request: "PUT " + test.path + "/x", Body: `metadata: {name: x}`, Status: 404},
		)
	}
}
