package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	adminCredential = "the-administrators-credential"
	signature       = "bm90LWEtcmVhbC1zaWduYXR1cmU"
	maxSeconds      = 3600
)

// fakeExpiration is when the tokens of a fakeAPI end.
var fakeExpiration = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

// fakeAPI is a small Kubernetes API: it makes tokens for the accounts it has, and knows them
// again.
type fakeAPI struct {
	*httptest.Server
	accounts []string                                // namespace/name
	issued   map[string]authenticationv1.TokenReview // by token: its user, and all its audiences
	request  *http.Request                           // the last one, and its body
	body     runtime.Object
}

func newFakeAPI(t *testing.T) *fakeAPI {
	t.Helper()
	f := &fakeAPI{accounts: []string{"default/app", "prod/app"}, issued: map[string]authenticationv1.TokenReview{}}
	routes := http.NewServeMux()
	routes.HandleFunc("POST /api/v1/namespaces/{namespace}/serviceaccounts/{name}/token", f.tokenRequest)
	routes.HandleFunc("POST /apis/authentication.k8s.io/v1/tokenreviews", f.tokenReview)
	f.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.request = r
		if r.Header.Get("Authorization") != "Bearer "+adminCredential {
			reply(w, http.StatusUnauthorized, apierrors.NewUnauthorized("Unauthorized").Status())
			return
		}
		routes.ServeHTTP(w, r)
	}))
	f.Config.ErrorLog = log.New(io.Discard, "", 0) // refused certificates are some of the cases
	f.StartTLS()
	t.Cleanup(f.Close)
	return f
}

func (f *fakeAPI) decode(r *http.Request) error {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	f.body, _, err = scheme.Codecs.UniversalDeserializer().Decode(body, nil, nil)
	return err
}

func (f *fakeAPI) tokenRequest(w http.ResponseWriter, r *http.Request) {
	namespace, name := r.PathValue("namespace"), r.PathValue("name")
	if !slices.Contains(f.accounts, namespace+"/"+name) {
		reply(w, http.StatusNotFound, apierrors.NewNotFound(schema.GroupResource{Resource: "serviceaccounts"}, name).Status())
		return
	}
	if err := f.decode(r); err != nil {
		reply(w, http.StatusBadRequest, apierrors.NewBadRequest(err.Error()).Status())
		return
	}
	answer := *f.body.(*authenticationv1.TokenRequest).DeepCopy()
	if asked := answer.Spec.ExpirationSeconds; asked != nil && *asked > maxSeconds {
		w.Header().Set("Warning", fmt.Sprintf(`299 - "requested expiration of %d seconds shortened to %d seconds"`, *asked, maxSeconds))
		*asked = maxSeconds
	}
	if len(answer.Spec.Audiences) == 0 {
		answer.Spec.Audiences = []string{"api"}
	}
	username := "system:serviceaccount:" + namespace + ":" + name
	answer.Status.ExpirationTimestamp = metav1.NewTime(fakeExpiration)
	answer.Status.Token = makeJWT(`{"alg":"ES256"}`, fmt.Sprintf(`{"sub":%q,"jti":"%d"}`, username, len(f.issued)))
	f.issued[answer.Status.Token] = authenticationv1.TokenReview{Status: authenticationv1.TokenReviewStatus{
		Authenticated: true,
		Audiences:     answer.Spec.Audiences,
		User: authenticationv1.UserInfo{
			Username: username, UID: "uid-of-" + name,
			Groups: []string{"system:serviceaccounts", "system:authenticated"},
			Extra:  map[string]authenticationv1.ExtraValue{"authentication.kubernetes.io/credential-id": {"JTI=7"}},
		},
	}}
	reply(w, http.StatusCreated, answer)
}

func (f *fakeAPI) tokenReview(w http.ResponseWriter, r *http.Request) {
	if err := f.decode(r); err != nil {
		reply(w, http.StatusBadRequest, apierrors.NewBadRequest(err.Error()).Status())
		return
	}
	answer := *f.body.(*authenticationv1.TokenReview).DeepCopy()
	token := answer.Spec.Token
	if strings.HasPrefix(token, "break") {
		reply(w, http.StatusInternalServerError, apierrors.NewInternalError(fmt.Errorf("no idea what %s is", token)).Status())
		return
	}
	wanted := answer.Spec.Audiences
	if len(wanted) == 0 {
		wanted = []string{"api"}
	}
	known, ok := f.issued[token]
	good := slices.DeleteFunc(slices.Clone(wanted), func(a string) bool { return !slices.Contains(known.Status.Audiences, a) })
	switch {
	case ok && len(known.Status.Audiences) == 0: // knows nothing of audiences
		answer.Status = known.Status
	case ok && len(good) > 0:
		answer.Status = known.Status
		answer.Status.Audiences = good
	default:
		answer.Status.Error = "[invalid bearer token, cannot parse " + token + "]"
	}
	reply(w, http.StatusCreated, answer)
}

func reply(w http.ResponseWriter, code int, object any) {
	encoded, err := json.Marshal(object)
	if err != nil {
		panic(err)
	}
	var fields map[string]any
	if err := json.Unmarshal(encoded, &fields); err != nil {
		panic(err)
	}
	switch object.(type) {
	case authenticationv1.TokenRequest:
		fields["kind"], fields["apiVersion"] = "TokenRequest", "authentication.k8s.io/v1"
	case authenticationv1.TokenReview:
		fields["kind"], fields["apiVersion"] = "TokenReview", "authentication.k8s.io/v1"
	default:
		fields["kind"], fields["apiVersion"] = "Status", "v1"
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(fields)
}

// kubeconfig writes a file with two contexts: "main", for namespace, and "stranger", whose
// credentials the server does not take.
func (f *fakeAPI) kubeconfig(t *testing.T, file, namespace string) string {
	t.Helper()
	ca := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: f.Certificate().Raw})
	config := clientcmdapi.Config{
		Clusters: map[string]*clientcmdapi.Cluster{"c": {Server: f.URL, CertificateAuthorityData: ca}},
		AuthInfos: map[string]*clientcmdapi.AuthInfo{
			"admin":    {Token: adminCredential},
			"stranger": {Token: "somebody-elses-credential"},
		},
		Contexts: map[string]*clientcmdapi.Context{
			"main":     {Cluster: "c", AuthInfo: "admin", Namespace: namespace},
			"stranger": {Cluster: "c", AuthInfo: "stranger"},
		},
		CurrentContext: "main",
	}
	if err := clientcmd.WriteToFile(config, file); err != nil {
		t.Fatal(err)
	}
	return file
}

// bench is an empty directory, no kubeconfig in the environment, and a server whose kubeconfig
// is in ./kubeconfig.
func bench(t *testing.T) *fakeAPI {
	t.Helper()
	t.Chdir(t.TempDir())
	t.Setenv(kubeconfigEnv, "")
	f := newFakeAPI(t)
	f.kubeconfig(t, "kubeconfig", "")
	return f
}

// result is what a command line did.
type result struct {
	code     int
	out, err string
}

func mintmark(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, streams{in: strings.NewReader(stdin), out: &out, err: &errs})
	return result{code, out.String(), errs.String()}
}

// want compares a result; the texts need to contain what is given, and be empty if that is.
func (r result) want(t *testing.T, code int, out, err string) {
	t.Helper()
	if r.code != code {
		t.Errorf("exit code %d, want %d", r.code, code)
	}
	for _, text := range []struct{ name, got, want string }{{"stdout", r.out, out}, {"stderr", r.err, err}} {
		if text.want == "" && text.got != "" || !strings.Contains(text.got, text.want) {
			t.Errorf("%s is\n%q\nwant it to contain\n%q", text.name, text.got, text.want)
		}
	}
}

// keeps fails if any of the secrets was printed.
func (r result) keeps(t *testing.T, secrets ...string) {
	t.Helper()
	for _, secret := range secrets {
		if strings.Contains(r.out+r.err, secret) {
			t.Errorf("the output has the secret %q in it:\n%s%s", secret, r.out, r.err)
		}
	}
}

func makeJWT(header, claims string) string {
	encode := base64.RawURLEncoding.EncodeToString
	return encode([]byte(header)) + "." + encode([]byte(claims)) + "." + signature
}

func writeFile(t *testing.T, file, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}
