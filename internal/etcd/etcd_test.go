package etcd_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	clientv3 "go.etcd.io/etcd/client/v3"

	"github.com/mintmark/mintmark/internal/etcd"
)

func TestWritesSurviveARestart(t *testing.T) {
	for name, dir := range map[string]string{
		"short name":                 t.TempDir(),
		"name too long for a socket": filepath.Join(t.TempDir(), strings.Repeat("long", 30)),
	} {
		t.Run(name, func(t *testing.T) {
			first := start(t, dir)
			if _, err := client(t, first).Put(t.Context(), "key", "value"); err != nil {
				t.Fatal(err)
			}
			if _, err := os.Stat(filepath.Join(dir, "client.sock")); err != nil {
				t.Errorf("the socket is not in the store's directory: %v", err)
			}
			first.Close()

			second := start(t, dir)
			defer second.Close()
			got, err := client(t, second).Get(t.Context(), "key")
			if err != nil {
				t.Fatal(err)
			}
			if len(got.Kvs) != 1 || string(got.Kvs[0].Value) != "value" {
				t.Errorf("after a restart: %v", got.Kvs)
			}
		})
	}
}

func TestAnUnusableDirectoryIsNamed(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := etcd.Start(t.Context(), etcd.Config{Dir: file}); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("error %v does not name %s", err, file)
	}
}

func start(t *testing.T, dir string) *etcd.Member {
	t.Helper()
	m, err := etcd.Start(t.Context(), etcd.Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func client(t *testing.T, m *etcd.Member) *clientv3.Client {
	t.Helper()
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{m.Endpoint()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}
