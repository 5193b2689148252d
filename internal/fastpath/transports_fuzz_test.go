package fastpath_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	authenticationv1 "k8s.io/api/authentication/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/scheme"
)

// placeholder stands in bodies for a token that both servers know.
const placeholder = "T0KEN"

var fuzzUsers = []string{"all-token,all,all-uid,reviewers", "nobody-token,alice,nobody-uid", "admin-token,admin,admin-uid,system:masters"}

// FuzzTransports sends requests that may be anything to both transports: status, headers and body are the same, but for
// what differs from one fresh token to the next.
func FuzzTransports(f *testing.F) {
	s := start(f, fuzzUsers)
	client := bothClient(f, s)
	for _, path := range []string{reviewsPath, requestPath, listsPath} {
		for _, body := range slices.Concat(bodies, listBodies, recorded(f)) {
			f.Add("POST", path, "Content-Type: application/json", uint8(0), []byte(strings.ReplaceAll(body, `"x"`, `"`+placeholder+`"`)))
		}
		for i, header := range []string{
			"Accept: application/yaml", "Accept: application/vnd.kubernetes.protobuf", "Accept: */*", "Accept: text/html", "Accept: application/json;as=Table;v=v1;g=meta.k8s.io",
			"Accept: application/json\nAccept: application/yaml", "Content-Type: application/yaml", "Content-Type: application/json; charset=utf-8", "Content-Type:",
			"Content-Type: application/json\nContent-Type: text/plain", "User-Agent: curl/8", "User-Agent:", "Audit-Id: mine", "Audit-Id:", "Audit-Id: a\nAudit-Id: b",
			"Impersonate-User: alice", "Impersonate-Group: system:masters", "Impersonate-Uid: x", "X-Remote-User: admin", "X-Remote-Group: system:masters", "Origin: https://example.com",
			"Upgrade: websocket\nConnection: upgrade", "Content-Encoding: gzip", "Expect: 100-continue", "Accept-Encoding: gzip", "Authorization: Bearer x", "X-Forwarded-For: 10.0.0.1",
			"Sec-Websocket-Protocol: base64url.bearer.authorization.k8s.io.eHg", "If-Match: x", "Kubectl-Command: x", "Cookie: a=b", "Traceparent: 00-1-2-01",
		} {
			f.Add("POST", path, header, uint8(i), []byte(`{"spec":{}}`))
			f.Add("POST", path, header, uint8(0), []byte(reviewOf(placeholder)))
			f.Add("POST", path, header, uint8(0), []byte(listOf(placeholder, "x")))
		}
		for _, query := range []string{
			"timeout=5s", "timeout=5", "timeout=-1s", "timeout=", "pretty=true", "dryRun=All", "fieldManager=x", "fieldValidation=Strict",
			"?", "timeout=5s&timeout=1ns", "a;b", "%zz",
		} {
			f.Add("POST", path+"?"+query, "", uint8(0), []byte(reviewOf(placeholder)))
			f.Add("POST", path+"?"+query, "", uint8(0), []byte(listOf(placeholder)))
		}
		for _, other := range []string{
			path + "/", "/" + path, strings.ToUpper(path), path + "%2f",
			strings.Replace(path, "v1", "v1/../v1", 1), strings.Replace(path, "app", "none", 1), strings.Replace(path, "app", "%61pp", 1),
		} {
			f.Add("POST", other, "", uint8(0), []byte(tokenBody))
		}
		for _, method := range []string{"GET", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "post", "TRACE", "X"} {
			f.Add(method, path, "", uint8(0), []byte(tokenBody))
		}
	}
	for _, object := range []runtime.Object{review(placeholder), &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"a"}}}} {
		body := encoded(f, "application/vnd.kubernetes.protobuf", object)
		f.Add("POST", reviewsPath, "Content-Type: application/vnd.kubernetes.protobuf\nAccept: application/vnd.kubernetes.protobuf", uint8(0), body)
		f.Add("POST", requestPath, "Content-Type: application/vnd.kubernetes.protobuf", uint8(0), body)
	}
	callers := []string{"all-token", s.token, "nobody-token", "wrong-token", ""}
	f.Fuzz(func(t *testing.T, method, path, headers string, caller uint8, body []byte) {
		body = bytes.ReplaceAll(body, []byte(placeholder), []byte(s.token))
		var got [2]*answer
		named := false
		for i, url := range []string{s.generic.URL, s.fast.URL} {
			request, err := fuzzed(t, method, url+path, headers, callers[int(caller)%len(callers)], body)
			if err != nil {
				return // that is no request
			}
			named = strings.TrimSpace(request.Header.Get("Audit-Id")) != ""
			response, err := client.RoundTrip(request)
			if err != nil {
				if serverHungUp(err) {
					t.Fatal("no answer")
				}
				return // the client doesn't send that
			}
			text, err := io.ReadAll(response.Body)
			if err = errors.Join(err, response.Body.Close()); err != nil {
				t.Fatal(err)
			}
			here := strings.ReplaceAll(string(text), request.URL.Host, "HOST") // the index of /api names it
			got[i] = &answer{response.StatusCode, response.Header, here}
		}
		if got[0].status != got[1].status {
			t.Fatalf("status %d, and %d on the fast path", got[0].status, got[1].status)
		}
		if diff := cmp.Diff(lasting(t, got[0], named), lasting(t, got[1], named), cmp.AllowUnexported(answer{})); diff != "" {
			t.Fatal(strings.ReplaceAll(diff, s.token, placeholder))
		}
	})
}

// fuzzed makes a request of what may be none. Somebody who may do everything is not among the callers.
func fuzzed(t *testing.T, method, url, headers, token string, body []byte) (*http.Request, error) {
	request, err := http.NewRequestWithContext(t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	for line := range strings.SplitSeq(headers, "\n") {
		name, value, ok := strings.Cut(line, ": ")
		switch http.CanonicalHeaderKey(name) {
		case "Connection", "Transfer-Encoding", "Content-Length", "Host", "Trailer", "Te", "":
			ok = false // the client's own affair
		}
		if ok {
			request.Header.Add(name, value)
		}
	}
	if strings.Contains(request.Header.Get("Authorization"), "admin-token") {
		return nil, errors.New("not to be fuzzed")
	}
	return request, nil
}

// serverHungUp reports whether a failure is the server's.
func serverHungUp(err error) bool {
	return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

var (
	token = regexp.MustCompile(`eyJ[\w-]+\.eyJ[\w-]+\.[\w-]+`)
	stamp = regexp.MustCompile(`\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)
)

// lasting is what is the same of all answers to a request.
func lasting(t *testing.T, a *answer, named bool) answer {
	header := a.header.Clone()
	header.Del("Date")
	if !named {
		header.Del("Audit-Id")
	}
	body := a.body
	if a.status == http.StatusCreated && strings.Contains(body, "TokenRequest") {
		if strings.HasPrefix(body, "k8s\x00") {
			object, _, err := scheme.Codecs.UniversalDeserializer().Decode([]byte(body), nil, nil)
			if err != nil {
				t.Fatal(err)
			}
			if request, ok := object.(*authenticationv1.TokenRequest); ok {
				request.Status, request.CreationTimestamp = authenticationv1.TokenRequestStatus{}, metav1.Time{}
				body = request.String()
			}
		}
		body = stamp.ReplaceAllString(token.ReplaceAllString(body, "TOKEN"), "TIME")
	}
	return answer{a.status, header, body}
}

// bothClient speaks to either server, HTTP/1.1 so that headers go as they are.
func bothClient(f *testing.F, s *servers) http.RoundTripper {
	f.Helper()
	roots := x509.NewCertPool()
	for _, server := range s.sides() {
		roots.AppendCertsFromPEM(server.RootCAs)
	}
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}, DisableCompression: true, ResponseHeaderTimeout: time.Minute}
	f.Cleanup(transport.CloseIdleConnections)
	return transport
}

var variables = regexp.MustCompile(`\{\{[^{}]*\}\}`)

// recorded are the bodies of the recorded requests about tokens, each once.
func recorded(f *testing.F) []string {
	f.Helper()
	var found []string
	seen := map[string]bool{}
	err := fs.WalkDir(os.DirFS("../conformance/testdata"), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".json") || !strings.Contains(path, "scenarios/") {
			return err
		}
		text, err := os.ReadFile(filepath.Join("../conformance/testdata", path))
		if err != nil {
			return err
		}
		var scenario struct {
			Steps []struct {
				Path string
				Body json.RawMessage
			}
		}
		if err := json.Unmarshal(text, &scenario); err != nil {
			return err
		}
		for _, step := range scenario.Steps {
			var body string
			if !strings.Contains(step.Path, "token") || len(step.Body) > 2000 {
				continue
			}
			if json.Unmarshal(step.Body, &body) != nil {
				body = string(step.Body)
			}
			body = variables.ReplaceAllString(body, placeholder)
			if body != "" && !seen[body] {
				seen[body] = true
				found = append(found, body)
			}
		}
		return nil
	})
	if err != nil || len(found) < 50 {
		f.Fatalf("%d bodies, %v", len(found), err)
	}
	return found
}
