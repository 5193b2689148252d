package apiserver_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/internal/testserver"
)

// stopsWithin is how long a stop may take with open watches. Without their end it takes a minute.
const stopsWithin = 20 * time.Second

// TestStopEndsWatches stops servers that have an open watch each.
func TestStopEndsWatches(t *testing.T) {
	t.Parallel()
	const namespaces = "/api/v1/namespaces?watch=true"
	for name, test := range map[string]struct {
		flags []string
		open  func(t *testing.T, server *testserver.Server)
	}{
		"HTTP/2":                      {nil, func(t *testing.T, s *testserver.Server) { watch(t, s, namespaces) }},
		"HTTP/2 with a grace period":  {[]string{"--shutdown-watch-termination-grace-period=1s"}, func(t *testing.T, s *testserver.Server) { watch(t, s, namespaces) }},
		"HTTP/1.1":                    {[]string{"--disable-http2-serving"}, func(t *testing.T, s *testserver.Server) { watch(t, s, namespaces) }},
		"WebSocket":                   {nil, func(t *testing.T, s *testserver.Server) { raw(t, s, namespaces, websocketHeader, "101") }},
		"WebSocket with grace period": {[]string{"--shutdown-watch-termination-grace-period=1s"}, func(t *testing.T, s *testserver.Server) { raw(t, s, namespaces, websocketHeader, "101") }},
		"a client that doesn't read":  {nil, openUnread},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			server := testserver.Start(t, append(test.flags, "--controllers=")...)
			test.open(t, server)
			began := time.Now()
			if err := server.Stop(); err != nil {
				t.Error(err)
			}
			if took := time.Since(began); took > stopsWithin {
				t.Errorf("the stop took %s", took)
			}
		})
	}
}

// watch opens a watch and waits for its first event.
func watch(t *testing.T, server *testserver.Server, path string) {
	t.Helper()
	client, err := rest.HTTPClientFor(server.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, server.URL+path, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	if _, err := bufio.NewReader(response.Body).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
}

// websocketHeader asks for a WebSocket.
const websocketHeader = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"

// raw sends a request over a connection of its own, and reads no more than the status of the answer.
func raw(t *testing.T, server *testserver.Server, path, header, status string) {
	t.Helper()
	config, err := rest.TLSConfigFor(server.AdminConfig())
	if err != nil {
		t.Fatal(err)
	}
	config.NextProtos = []string{"http/1.1"}
	host := strings.TrimPrefix(server.URL, "https://")
	connection, err := (&tls.Dialer{Config: config}).DialContext(t.Context(), "tcp", host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	if _, err := fmt.Fprintf(connection, "GET %s HTTP/1.1\r\nHost: %s\r\nOrigin: %s\r\n%s\r\n", path, host, server.URL, header); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReaderSize(connection, 16).ReadString('\n')
	if err != nil || !strings.Contains(line, " "+status+" ") {
		t.Fatalf("%q, %v", line, err)
	}
}

// openUnread opens a watch that brings more than connections buffer, and leaves it at that.
func openUnread(t *testing.T, server *testserver.Server) {
	t.Helper()
	secrets := server.Admin().CoreV1().Secrets("default")
	for i := range 24 {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("large-%d", i)},
			Data:       map[string][]byte{"filler": bytes.Repeat([]byte{'x'}, 1_000_000)},
		}
		if _, err := secrets.Create(t.Context(), secret, metav1.CreateOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	raw(t, server, "/api/v1/secrets?watch=true", "", "200")
}
