package apiserver_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// cable stands between a server and its etcd and passes bytes on, until it is frozen: then connections stay open and
// nothing comes through, as when a machine in between hangs. It can be put into another etcd.
type cable struct {
	// Endpoint is where the server finds its end.
	Endpoint string

	mu      sync.Mutex
	moved   *sync.Cond
	frozen  bool
	closed  bool
	behind  string // the socket of etcd
	carried []net.Conn
}

func newCable(t *testing.T, endpoint string) *cable {
	t.Helper()
	dir, err := os.MkdirTemp("", "cable") //nolint:usetesting // the name of a socket must be short
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(dir, "s"))
	if err != nil {
		t.Fatal(err)
	}
	c := &cable{Endpoint: "unix://" + listener.Addr().String()}
	c.moved = sync.NewCond(&c.mu)
	c.plug(endpoint)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			client, err := listener.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { c.carry(client, &serving) })
		}
	})
	t.Cleanup(func() {
		err := listener.Close()
		c.mu.Lock()
		c.closed = true
		c.cut()
		c.mu.Unlock()
		serving.Wait()
		if err := errors.Join(err, os.RemoveAll(dir)); err != nil {
			t.Error(err)
		}
	})
	return c
}

// plug puts the far end into an etcd. What is connected is cut off.
func (c *cable) plug(endpoint string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.behind = strings.TrimPrefix(endpoint, "unix://")
	c.cut()
}

// cut closes all connections. The lock is held.
func (c *cable) cut() {
	for _, conn := range c.carried {
		_ = conn.Close()
	}
	c.carried = nil
	c.moved.Broadcast()
}

// freeze has nothing come through any more, or all that has waited.
func (c *cable) freeze(frozen bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = frozen
	c.moved.Broadcast()
}

func (c *cable) carry(client net.Conn, serving *sync.WaitGroup) {
	c.mu.Lock()
	behind := c.behind
	c.mu.Unlock()
	server, err := net.Dial("unix", behind)
	if err != nil {
		_ = client.Close()
		return
	}
	c.mu.Lock()
	c.carried = append(c.carried, client, server)
	if c.closed {
		c.cut()
	}
	c.mu.Unlock()
	serving.Go(func() { c.pass(server, client) })
	c.pass(client, server)
}

func (c *cable) pass(to, from net.Conn) {
	defer to.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		c.mu.Lock()
		for c.frozen && !c.closed {
			c.moved.Wait()
		}
		c.mu.Unlock()
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}
