package apiserver

import (
	"net"
	"sync"
)

// cutListener closes the connections that it has accepted when a server for tests stops. Otherwise a stop waits for a second
// for clients that keep connections of HTTP/2 open.
type cutListener struct {
	net.Listener

	mu    sync.Mutex
	conns map[*cutConn]struct{}
	done  bool
}

func newCutListener(l net.Listener) *cutListener {
	return &cutListener{Listener: l, conns: map[*cutConn]struct{}{}}
}

// Accept returns the next connection.
func (l *cutListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c := &cutConn{conn, l}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.conns[c] = struct{}{}
	if l.done {
		_ = conn.Close()
	}
	return c, nil
}

// cut closes all connections.
func (l *cutListener) cut() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.done = true
	for c := range l.conns {
		_ = c.Conn.Close()
	}
}

type cutConn struct {
	net.Conn
	listener *cutListener
}

// Close closes the connection.
func (c *cutConn) Close() error {
	c.listener.mu.Lock()
	delete(c.listener.conns, c)
	c.listener.mu.Unlock()
	return c.Conn.Close()
}
