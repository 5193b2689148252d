package apiserver_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/testserver"
)

// signingRequest is a CertificateSigningRequest for a kubelet's client certificate, in YAML, with its key in PEM.
func signingRequest(t *testing.T, name, signer, user string, organizations ...string) (body string, key []byte) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: user, Organization: organizations}}, private)
	if err != nil {
		t.Fatal(err)
	}
	if key, err = keyutil.MarshalPrivateKeyToPEM(private); err != nil {
		t.Fatal(err)
	}
	encoded := base64.StdEncoding.EncodeToString(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE REQUEST", Bytes: der}))
	return fmt.Sprintf("{metadata: {name: %s}, spec: {signerName: %s, request: %s, usages: [digital signature, client auth]}}", name, signer, encoded), key
}

const kubeletSigner = "kubernetes.io/kube-apiserver-client-kubelet"

// joinNode has a machine join with a bootstrap token, as the agent does, and returns its connection. round tells joins of one node apart.
func joinNode(t *testing.T, s *testserver.Server, name string, round int) *rest.Config {
	t.Helper()
	admin := s.Caller(s.AdminConfig())
	for binding, of := range map[string]string{
		"bootstrapper": "system:node-bootstrapper", "autoapprove": "system:certificates.k8s.io:certificatesigningrequests:nodeclient",
	} {
		admin.Do("POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", `{metadata: {name: `+binding+`},
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "`+of+`"},
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers:mintmark:node"}]}`)
	}
	id := fmt.Sprintf("%s%03d", name, round) // six letters
	admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/kube-system/secrets", Status: 201, Body: `
{metadata: {name: bootstrap-token-` + id + `}, type: bootstrap.kubernetes.io/token, stringData: {token-id: ` + id + `, token-secret: 0123456789abcdef,
 usage-bootstrap-authentication: "true", auth-extra-groups: "system:bootstrappers:mintmark:node", node-name: ` + name + `}}`})
	body, key := signingRequest(t, id, kubeletSigner, "system:node:"+name, "system:nodes")
	s.Caller(s.TokenConfig(id + ".0123456789abcdef")).Run(testserver.Step{Request: "POST /apis/certificates.k8s.io/v1/certificatesigningrequests", Body: body, Status: 201})
	config := rest.AnonymousClientConfig(s.AdminConfig())
	config.KeyData = key
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		found, err := s.Admin().CertificatesV1().CertificateSigningRequests().Get(ctx, id, metav1.GetOptions{})
		if err == nil {
			config.CertData = found.Status.Certificate
		}
		return len(config.CertData) > 0, err
	})
	if err != nil {
		t.Fatalf("no certificate: %v", err)
	}
	s.Caller(config).Do("POST /api/v1/nodes", "{metadata: {name: "+name+"}}")
	return config
}

// startNodes starts a server with the nodes vm1 and vm2, each with a pod, and returns the connection of vm1 and the uids of the pods.
func startNodes(t *testing.T) (s *testserver.Server, vm1 *rest.Config, uids map[string]string) {
	t.Helper()
	s = testserver.Start(t)
	admin := s.Caller(s.AdminConfig())
	for _, account := range []string{"app", "other"} {
		admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "{metadata: {name: " + account + "}}", Status: 201})
	}
	for _, secret := range []string{"needed", "foreign"} {
		admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/secrets", Body: "{metadata: {name: " + secret + "}, stringData: {a: b}}", Status: 201})
	}
	vm1 = joinNode(t, s, "vm1", 1)
	joinNode(t, s, "vm2", 1)
	uids = map[string]string{}
	for name, spec := range map[string]string{
		"mine":   "nodeName: vm1, serviceAccountName: app, volumes: [{name: s, secret: {secretName: needed}}, {name: t, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}}]",
		"theirs": "nodeName: vm2, serviceAccountName: other, volumes: [{name: s, secret: {secretName: foreign}}, {name: t, projected: {sources: [{serviceAccountToken: {path: t, audience: vault}}]}}]",
	} {
		pod, status := admin.Do("POST /api/v1/namespaces/default/pods", "{metadata: {name: "+name+"}, spec: {containers: [{name: c, image: none}], "+spec+"}}")
		if status != 201 {
			t.Fatal(status, pod)
		}
		uids[name] = pod.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	}
	return s, vm1, uids
}

// TestNodesKeepToThemselves takes the certificate of a node, and tries with it what its machine has no business with: tokens of other
// accounts, what belongs to other nodes, and rights that it has not.
func TestNodesKeepToThemselves(t *testing.T) {
	t.Parallel()
	s, config, uids := startNodes(t)
	bound := func(pod, audience string) string {
		return "{spec: {audiences: [" + audience + "], boundObjectRef: {apiVersion: v1, kind: Pod, name: " + pod + ", uid: " + uids[pod] + "}}}"
	}
	own, _ := signingRequest(t, "own", kubeletSigner, "system:node:vm1", "system:nodes")
	others, _ := signingRequest(t, "others", kubeletSigner, "system:node:vm2", "system:nodes")
	masters, _ := signingRequest(t, "masters", "kubernetes.io/kube-apiserver-client", "vm1", "system:masters")
	const core, requests, revocations = "/api/v1/namespaces/default", "/apis/certificates.k8s.io/v1/certificatesigningrequests", "/apis/mintmark.io/v1alpha1/tokenrevocations"
	const container = "containers: [{name: c, image: none}]"
	merge := []string{"Content-Type: application/merge-patch+json"}
	node := s.Caller(config)
	for _, test := range []struct {
		request, body string
		status        int
		headers       []string
	}{
		// What it is for.
		{request: "POST " + core + "/serviceaccounts/app/token", body: bound("mine", "vault"), status: 201},
		{request: "GET " + core + "/pods/mine", status: 200},
		{request: "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dvm1", status: 200},
		{request: "GET " + core + "/secrets/needed", status: 200},
		{request: "PATCH /api/v1/nodes/vm1", body: "{metadata: {labels: {example.com/rack: a}}}", headers: merge, status: 200},
		{request: "POST " + requests, body: own, status: 201},
		// A kubelet has the tokens of its own callers reviewed. It learns nothing from it that the token's holder doesn't know.
		{request: "POST /apis/authentication.k8s.io/v1/tokenreviews", body: "{spec: {token: x}}", status: 201},
		// Tokens of others.
		{request: "POST " + core + "/serviceaccounts/app/token", body: bound("mine", "bank"), status: 403},
		{request: "POST " + core + "/serviceaccounts/app/token", body: "{spec: {audiences: [vault]}}", status: 403},
		{request: "POST " + core + "/serviceaccounts/app/token", body: bound("theirs", "vault"), status: 403},
		{request: "POST " + core + "/serviceaccounts/app/token?pretty=0", body: bound("theirs", "vault"), status: 403},
		{request: "POST " + core + "/serviceaccounts/other/token", body: bound("theirs", "vault"), status: 403},
		{request: "POST " + core + "/serviceaccounts/other/token", body: bound("mine", "vault"), status: 403},
		{request: "POST /api/v1/namespaces/kube-system/serviceaccounts/default/token", body: bound("mine", "vault"), status: 403},
		{request: "POST " + core + "/serviceaccounts", body: "{metadata: {name: mine}}", status: 403},
		{request: "GET " + core + "/serviceaccounts/other", status: 403},
		{request: "GET " + core + "/secrets", status: 403},
		{request: "GET " + core + "/secrets/foreign", status: 403},
		{request: "GET /api/v1/namespaces/kube-system/secrets/bootstrap-token-vm2001", status: 403},
		{request: "POST /api/v1/namespaces/kube-system/secrets", body: "{metadata: {name: bootstrap-token-aaaaaa}, type: bootstrap.kubernetes.io/token}", status: 403},
		// What belongs to other nodes.
		{request: "GET /api/v1/pods", status: 403},
		{request: "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dvm2", status: 403},
		{request: "GET /api/v1/pods?fieldSelector=spec.nodeName%3Dvm2&watch=true", status: 403},
		{request: "GET /api/v1/pods?fieldSelector=spec.nodeName%21%3Dvm2", status: 403},
		{request: "GET " + core + "/pods/theirs", status: 403},
		{request: "DELETE " + core + "/pods/theirs", status: 403},
		{request: "DELETE " + core + "/pods", status: 403},
		{request: "PATCH " + core + "/pods/theirs/status", body: "{status: {phase: Failed}}", headers: merge, status: 403},
		{request: "PATCH " + core + "/pods/mine/status", body: "{metadata: {labels: {a: b}}}", headers: merge, status: 403},
		{request: "PATCH " + core + "/pods/mine", body: "{spec: {serviceAccountName: other}}", headers: merge, status: 403},
		{request: "POST " + core + "/pods", body: "{metadata: {name: new}, spec: {nodeName: vm1, serviceAccountName: other, " + container + "}}", status: 403},
		{request: "POST " + core + "/pods", body: "{metadata: {name: new}, spec: {nodeName: vm2, " + container + "}}", status: 403},
		{request: "POST " + core + "/pods", body: "{metadata: {name: new, annotations: {kubernetes.io/config.mirror: a}}, spec: {nodeName: vm1, serviceAccountName: other, " + container + "}}", status: 403},
		{request: "GET /api/v1/nodes", status: 403},
		{request: "GET /api/v1/nodes/vm2", status: 403},
		{request: "POST /api/v1/nodes", body: "{metadata: {name: vm3}}", status: 403},
		{request: "PATCH /api/v1/nodes/vm2", body: "{metadata: {labels: {example.com/rack: a}}}", headers: merge, status: 403},
		{request: "PATCH /api/v1/nodes/vm2/status", body: "{metadata: {annotations: {a: b}}}", headers: merge, status: 403},
		{request: "DELETE /api/v1/nodes/vm2", status: 403},
		// What steers workloads to it.
		{request: "DELETE /api/v1/nodes/vm1", status: 403},
		{request: "PATCH /api/v1/nodes/vm1", body: "{metadata: {labels: {node-restriction.kubernetes.io/zone: pci}}}", headers: merge, status: 403},
		{request: "PATCH /api/v1/nodes/vm1", body: "{metadata: {labels: {node-role.kubernetes.io/control-plane: ''}}}", headers: merge, status: 403},
		{request: "PATCH /api/v1/nodes/vm1/status", body: "{metadata: {labels: {node-role.kubernetes.io/control-plane: ''}}}", headers: merge, status: 403},
		{request: "PATCH /api/v1/nodes/vm1", body: "{spec: {taints: [{key: a, effect: NoSchedule}]}}", headers: merge, status: 403},
		// Certificates.
		{request: "POST " + requests, body: others, status: 403},
		{request: "POST " + requests, body: masters, status: 403},
		{request: "PATCH " + requests + "/own/approval", body: "{status: {conditions: [{type: Approved, status: 'True', reason: a}]}}", headers: merge, status: 403},
		{request: "PATCH " + requests + "/own/status", body: "{status: {certificate: eA==}}", headers: merge, status: 403},
		{request: "DELETE " + requests + "/vm2001", status: 403},
		// Rights.
		{request: "POST " + revocations, body: "{spec: {serviceAccount: {namespace: default, name: other}}}", status: 403},
		{request: "POST " + revocations, body: "{spec: {clientCertificate: {username: 'system:node:vm2'}}}", status: 403},
		{request: "POST " + revocations, body: "{spec: {issuedBefore: '2026-01-01T00:00:00Z'}}", status: 403},
		{request: "GET " + revocations, status: 403},
		{request: "POST /apis/mintmark.io/v1alpha1/tokenexplanations", body: "{spec: {token: x}}", status: 403},
		{request: "GET /apis/mintmark.io/v1alpha1/signingkeys", status: 403},
		{request: "POST /apis/rbac.authorization.k8s.io/v1/clusterrolebindings", body: "{metadata: {name: a}, roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: cluster-admin}}", status: 403},
		{request: "GET /apis/rbac.authorization.k8s.io/v1/clusterroles", status: 403},
		{request: "GET /api/v1/namespaces", status: 403},
		{request: "GET /metrics", status: 403},
		{request: "GET " + core + "/pods/theirs", headers: []string{"Impersonate-User: system:node:vm2", "Impersonate-Group: system:nodes"}, status: 403},
		{request: "GET " + core + "/secrets", headers: []string{"Impersonate-User: admin", "Impersonate-Group: system:masters"}, status: 403},
	} {
		if answer, status := node.Do(test.request, test.body, test.headers...); status != test.status {
			t.Errorf("%s %s: status %d, want %d: %v", test.request, test.headers, status, test.status, answer.(map[string]any)["message"])
		}
	}
}

// TestRemovedNode removes a node at one of two replicas. At that one its certificate and its tokens are refused from the next request on,
// at the other as soon as its watch has brought it. The name can be used again at once, by a new certificate alone.
func TestRemovedNode(t *testing.T) {
	t.Parallel()
	endpoint, _ := newMember(t, t.TempDir())
	flags := []string{"--etcd-servers=" + endpoint, "--service-account-issuer=https://tokens.example"}
	one, two := testserver.Start(t, flags...), testserver.Start(t, flags...)
	admin := one.Caller(one.AdminConfig())
	admin.Run(testserver.Step{Request: "POST /api/v1/namespaces/default/serviceaccounts", Body: "{metadata: {name: app}}", Status: 201})
	old := joinNode(t, one, "vm1", 1)
	pod, _ := admin.Do("POST /api/v1/namespaces/default/pods", nodePod("web", "vm1"))
	uid := pod.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	found, _ := admin.Do("GET /api/v1/nodes/vm1", "")
	nodeUID := found.(map[string]any)["metadata"].(map[string]any)["uid"].(string)
	tokens := map[string]string{}
	for kind, ask := range map[string]struct {
		caller testserver.Caller
		ref    string
	}{
		"pod":  {one.Caller(old), "{apiVersion: v1, kind: Pod, name: web, uid: " + uid + "}"},
		"node": {admin, "{apiVersion: v1, kind: Node, name: vm1, uid: " + nodeUID + "}"},
	} {
		answer, status := ask.caller.Do("POST /api/v1/namespaces/default/serviceaccounts/app/token", "{spec: {audiences: [vault], boundObjectRef: "+ask.ref+"}}")
		if status != 201 {
			t.Fatal(kind, status, answer)
		}
		tokens[kind] = answer.(map[string]any)["status"].(map[string]any)["token"].(string)
	}
	refused := func(s *testserver.Server, config *rest.Config) map[string]bool {
		config = rest.CopyConfig(config)
		config.Host = s.URL
		_, status := s.Caller(config).Do("GET /api/v1/nodes/vm1", "")
		got := map[string]bool{"certificate": status == 401}
		for kind, token := range tokens {
			answer, _ := s.Caller(s.AdminConfig()).Do("POST "+reviewsPath, "{spec: {token: "+token+", audiences: [vault]}}")
			accepted, _ := answer.(map[string]any)["status"].(map[string]any)["authenticated"].(bool)
			got[kind] = !accepted
		}
		return got
	}
	for _, s := range []*testserver.Server{one, two} {
		for what, is := range refused(s, old) {
			if is {
				t.Errorf("%s is refused before", what)
			}
		}
	}
	admin.Run(
		testserver.Step{Request: "POST /apis/mintmark.io/v1alpha1/tokenrevocations", Body: "{metadata: {name: vm1}, spec: {clientCertificate: {username: 'system:node:vm1'}}}", Status: 201},
		testserver.Step{Request: "DELETE /api/v1/nodes/vm1", Status: 200},
		testserver.Step{Request: "DELETE /api/v1/namespaces/default/pods/web?gracePeriodSeconds=0", Status: 200},
	)
	for what, is := range refused(one, old) {
		if !is {
			t.Errorf("%s is accepted by the server that has acknowledged the removal", what)
		}
	}
	removed := time.Now()
	for got := refused(two, old); !got["certificate"] || !got["pod"] || !got["node"]; got = refused(two, old) {
		if time.Since(removed) > 10*time.Second {
			t.Fatalf("the other replica refuses %v", got)
		}
	}
	entry, _ := admin.Do("GET /apis/mintmark.io/v1alpha1/tokenrevocations/vm1", "")
	instant, err := time.Parse(time.RFC3339, entry.(map[string]any)["spec"].(map[string]any)["issuedBefore"].(string))
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(time.Until(instant)) // a second at most
	again := joinNode(t, one, "vm1", 2)
	one.Caller(again).Run(testserver.Step{Request: "GET /api/v1/nodes/vm1", Status: 200})
	for _, s := range []*testserver.Server{one, two} {
		if !refused(s, old)["certificate"] {
			t.Error("the old certificate is good again")
		}
	}
}
