package etcd_test

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"k8s.io/apiserver/pkg/storage/storagebackend"

	"github.com/mintmark/mintmark/internal/etcd"
)

// A server that does not answer is named within five seconds, with the reason and nothing of gRPC.
func TestUnreachableServers(t *testing.T) {
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dead := "http://" + closed.Addr().String()
	_ = closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // the kernel takes connections, and nothing answers
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = silent.Close() })
	web := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(func() { web.Close() })
	secure := httptest.NewTLSServer(http.NotFoundHandler())
	t.Cleanup(func() { secure.Close() })
	garbage := filepath.Join(t.TempDir(), "garbage.pem")
	if err := os.WriteFile(garbage, []byte("garbage"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		cfg  storagebackend.TransportConfig
		want []string
	}{
		"dead":                 {storagebackend.TransportConfig{ServerList: []string{dead}}, []string{"--etcd-servers", dead, "connection refused"}},
		"several":              {storagebackend.TransportConfig{ServerList: []string{dead, "http://127.0.0.1:1"}}, []string{dead, "http://127.0.0.1:1"}},
		"without a scheme":     {storagebackend.TransportConfig{ServerList: []string{"127.0.0.1:1"}}, []string{"127.0.0.1:1", "connection refused"}},
		"a missing socket":     {storagebackend.TransportConfig{ServerList: []string{"unix:///nowhere/etcd.sock"}}, []string{"unix:///nowhere/etcd.sock", "no such file"}},
		"silent":               {storagebackend.TransportConfig{ServerList: []string{"http://" + silent.Addr().String()}}, []string{"does not answer as etcd within 4s"}},
		"a web server":         {storagebackend.TransportConfig{ServerList: []string{web.URL}}, []string{web.URL}},
		"an unknown authority": {storagebackend.TransportConfig{ServerList: []string{secure.URL}}, []string{secure.URL, "unknown authority"}},
		"no TLS":               {storagebackend.TransportConfig{ServerList: []string{strings.Replace(web.URL, "http", "https", 1)}}, []string{"first record does not look like a TLS handshake"}},
		"no authority":         {storagebackend.TransportConfig{ServerList: []string{dead}, TrustedCAFile: garbage}, []string{"--etcd-cafile", garbage}},
		"no certificate":       {storagebackend.TransportConfig{ServerList: []string{dead}, CertFile: garbage, KeyFile: garbage}, []string{"--etcd-certfile", "--etcd-keyfile", garbage}},
		"no key":               {storagebackend.TransportConfig{ServerList: []string{dead}, CertFile: garbage}, []string{"--etcd-certfile", garbage}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start := time.Now()
			err := etcd.Reach(t.Context(), test.cfg)
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("told after %v", took)
			}
			for _, want := range test.want {
				if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "rpc error") || strings.Contains(err.Error(), "desc =") {
					t.Errorf("error %v, want %q in it", err, want)
				}
			}
		})
	}
}

func TestReachableServer(t *testing.T) {
	member, err := etcd.Start(t.Context(), etcd.Config{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer member.Close()
	if err := etcd.Reach(t.Context(), storagebackend.TransportConfig{ServerList: []string{"http://127.0.0.1:1", member.Endpoint()}}); err != nil {
		t.Error(err)
	}
}
