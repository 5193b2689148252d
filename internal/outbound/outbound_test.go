package outbound

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/pem"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	utilerrors "k8s.io/apimachinery/pkg/util/errors"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
)

// TestMain keeps the log out of the results.
func TestMain(m *testing.M) {
	klog.SetOutput(io.Discard)
	klog.LogToStderr(false)
	m.Run()
}

// clients are the two kinds of clients, by name, each for a server.
func clients(t *testing.T, server *httptest.Server) map[string]*http.Client {
	t.Helper()
	authority := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}))
	issuers, err := NewClient(authority, nil)
	if err != nil {
		t.Fatal(err)
	}
	config, err := Webhook("--flag", kubeconfig(t, "server: "+server.URL+", insecure-skip-tls-verify: true"))
	if err != nil {
		t.Fatal(err)
	}
	webhooks, err := rest.HTTPClientFor(config)
	if err != nil {
		t.Fatal(err)
	}
	return map[string]*http.Client{"issuers": issuers, "webhooks": webhooks}
}

// kubeconfig writes a kubeconfig with a cluster of those fields.
func kubeconfig(t *testing.T, cluster string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "webhook.kubeconfig")
	text := `{apiVersion: v1, kind: Config, current-context: c, contexts: [{name: c, context: {cluster: c}}], clusters: [{name: c, cluster: {` + cluster + `}}]}`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

func serve(t *testing.T, handler http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewTLSServer(handler)
	t.Cleanup(server.Close)
	return server
}

func get(t *testing.T, client *http.Client, url string) (status int, body string, err error) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return response.StatusCode, string(text), err
}

// TestRedirects: no client goes where an answer sends it.
func TestRedirects(t *testing.T) {
	elsewhere := serve(t, func(http.ResponseWriter, *http.Request) { t.Error("the redirect was followed") })
	for code := http.StatusMultipleChoices; code < http.StatusBadRequest; code++ {
		server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", elsewhere.URL)
			w.WriteHeader(code)
		})
		for name, client := range clients(t, server) {
			if status, _, err := get(t, client, server.URL); err != nil || status != code {
				t.Errorf("%s: %d, %v; want %d", name, status, err, code)
			}
		}
	}
}

// TestLongAnswers: no client reads an answer without end, even one that is short on the wire, and keeps little of the text
// of a failure.
func TestLongAnswers(t *testing.T) {
	long := bytes.Repeat([]byte("0123456789abcdef"), 1<<17)
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		tooLong bool
		body    int
	}{
		"as announced": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", fmt.Sprint(len(long)))
			_, _ = w.Write(long)
		}, true, 0},
		"in pieces": {func(w http.ResponseWriter, _ *http.Request) {
			for {
				if _, err := w.Write(long); err != nil {
					return
				}
			}
		}, true, 0},
		"compressed": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Encoding", "gzip")
			zip := gzip.NewWriter(w)
			_, _ = zip.Write(long)
			_ = zip.Close()
		}, true, 0},
		"a failure without end": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			for {
				if _, err := w.Write(long); err != nil {
					return
				}
			}
		}, true, 0},
		"a long failure": {func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write(long[:1<<19])
		}, false, maxFailure},
		"long, but not too long": {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(long[:maxAnswer]) }, false, maxAnswer},
	} {
		t.Run(name, func(t *testing.T) {
			server := serve(t, test.handler)
			for kind, client := range clients(t, server) {
				_, body, err := get(t, client, server.URL)
				if errors.Is(err, ErrTooLong) != test.tooLong || !test.tooLong && (err != nil || len(body) != test.body) {
					t.Errorf("%s: %d bytes, %v", kind, len(body), err)
				}
			}
		})
	}
}

// roundTripper is a transport.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestSlowAnswers: a server that doesn't answer, or doesn't come to the end of its answer, is given up after nine seconds,
// whatever the caller's own limit.
func TestSlowAnswers(t *testing.T) {
	for name, transport := range map[string]roundTripper{
		"no answer": func(r *http.Request) (*http.Response, error) {
			<-r.Context().Done()
			return nil, context.Cause(r.Context())
		},
		"no end": func(r *http.Request) (*http.Response, error) {
			reader, writer := io.Pipe()
			context.AfterFunc(r.Context(), func() { _ = writer.CloseWithError(context.Cause(r.Context())) })
			return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: reader, Request: r}, nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				_, _, err := get(t, &http.Client{Transport: guarded{transport}}, "https://issuer.example")
				if !errors.Is(err, errSlow) || time.Since(start) != Timeout {
					t.Errorf("%v after %v", err, time.Since(start))
				}
			})
		})
	}
}

// TestInClear: issuers are called over https alone. A webhook may be called over plain HTTP, or without a look at its
// certificate, but the server warns of it.
func TestInClear(t *testing.T) {
	plain := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("called over plain HTTP") }))
	defer plain.Close()
	client, err := NewClient("", nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, err := get(t, client, plain.URL); err == nil || !strings.Contains(err.Error(), `the URL must be https, not "http"`) {
		t.Error(err)
	}
	server := serve(t, nil)
	authority := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(authority, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	for cluster, want := range map[string]string{
		"server: 'http://127.0.0.1:1/review'":                                    "is called over plain HTTP",
		"server: 'HTTP://webhook.example'":                                       "is called over plain HTTP",
		"server: 'webhook.example:1'":                                            "is called over plain HTTP",
		"server: 'https://webhook.example', insecure-skip-tls-verify: true":      "is not checked (insecure-skip-tls-verify)",
		"server: 'webhook.example:1', insecure-skip-tls-verify: true":            "is called over plain HTTP",
		"server: 'https://webhook.example'":                                      "",
		"server: 'https://webhook.example', certificate-authority: " + authority: "",
		// client-go ignores the authority of a server without a scheme.
		"server: 'webhook.example', certificate-authority: " + authority: "is called over plain HTTP",
	} {
		file := kubeconfig(t, cluster)
		log := logged(t, func() {
			if _, err := Webhook("--flag", file); err != nil {
				t.Error(err)
			}
		})
		if (want == "") != (log == "") || !strings.Contains(log, want) || want != "" && !strings.Contains(log, "--flag: "+file) {
			t.Errorf("%s: %q, want %q", cluster, log, want)
		}
	}
}

// TestKubeconfigErrors: whatever is wrong with a kubeconfig, the error names the file and what named it.
func TestKubeconfigErrors(t *testing.T) {
	noPEM := filepath.Join(t.TempDir(), "ca.crt")
	if err := os.WriteFile(noPEM, []byte("no PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, file := range map[string]string{
		"no such file":                filepath.Join(t.TempDir(), "none"),
		"no server":                   kubeconfig(t, ""),
		"an authority that is no PEM": kubeconfig(t, "server: 'https://webhook.example', certificate-authority: "+noPEM),
		"no such authority":           kubeconfig(t, "server: 'https://webhook.example', certificate-authority: /none"),
		"a URL that is none":          kubeconfig(t, "server: 'https://[::1'"),
	} {
		config, err := Webhook("--flag", file)
		if err == nil || !strings.HasPrefix(err.Error(), "--flag: "+file+": ") {
			t.Errorf("%s: %v, %v", name, config, err)
		}
	}
}

// logged returns what is logged meanwhile.
func logged(t *testing.T, do func()) string {
	t.Helper()
	var text bytes.Buffer
	flags := flag.NewFlagSet("klog", flag.PanicOnError)
	klog.InitFlags(flags)
	restore := klog.CaptureState()
	defer restore.Restore()
	if err := flags.Set("logtostderr", "false"); err != nil {
		t.Fatal(err)
	}
	klog.SetOutput(&text)
	do()
	klog.Flush()
	return text.String()
}

func TestShortenError(t *testing.T) {
	long := errors.New(strings.Repeat("a", 2000))
	short := errors.New("short")
	if got := ShortenError(short); got != short { //nolint:errorlint // it is the same
		t.Error(got)
	}
	if ShortenError(nil) != nil {
		t.Error("an error of nothing")
	}
	cut := strings.Repeat("a", 1024) + "… (2000 bytes in all)"
	if got := ShortenError(long); got.Error() != cut || !errors.Is(got, long) {
		t.Error(got)
	}
	// The reasons of several errors stay apart, so that whoever joins them with others can still tell them.
	several := ShortenError(utilerrors.NewAggregate([]error{short, long}))
	if got, ok := several.(utilerrors.Aggregate); !ok || len(got.Errors()) != 2 || got.Error() != "[short, "+cut+"]" { //nolint:errorlint // it is one itself
		t.Error(several)
	}
}
