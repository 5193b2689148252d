package main

import (
	"net"
	"sync"
	"time"
)

// line is a TCP proxy between a server and an etcd member.
type line struct {
	// address is where the server finds the member.
	address  string
	listener net.Listener
	behind   string

	mu    sync.Mutex
	moved *sync.Cond
	state lineState
	conns map[net.Conn]bool
	delay time.Duration
}

// lineState is what a line does to its connections.
type lineState int

const (
	// lineUp passes bytes on.
	lineUp lineState = iota
	// lineCut refuses connections, and has closed those that there were.
	lineCut
	// lineFrozen keeps connections open and passes nothing on, as when a machine in between hangs.
	lineFrozen
	// lineHalfOpen passes on what the server sends, and nothing of what the member answers.
	lineHalfOpen
	// lineEnded is the last state.
	lineEnded
)

func newLine(behind string) (*line, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	l := &line{address: listener.Addr().String(), listener: listener, behind: behind, conns: map[net.Conn]bool{}}
	l.moved = sync.NewCond(&l.mu)
	go l.accept()
	return l, nil
}

func (l *line) accept() {
	for {
		conn, err := l.listener.Accept()
		if err != nil {
			return
		}
		go l.carry(conn)
	}
}

// set changes the state. A cut closes the connections.
func (l *line) set(state lineState) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.state = state
	if state == lineCut || state == lineEnded {
		for conn := range l.conns {
			_ = conn.Close()
		}
	}
	l.moved.Broadcast()
}

// slow delays each piece of data.
func (l *line) slow(delay time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.delay = delay
}

func (l *line) close() {
	l.set(lineEnded)
	_ = l.listener.Close()
}

func (l *line) carry(near net.Conn) {
	defer func() { _ = near.Close() }()
	far, err := net.Dial("tcp", l.behind)
	if err != nil {
		return
	}
	defer func() { _ = far.Close() }()
	l.mu.Lock()
	if l.state == lineCut || l.state == lineEnded {
		l.mu.Unlock()
		return
	}
	l.conns[near], l.conns[far] = true, true
	l.mu.Unlock()
	defer func() {
		l.mu.Lock()
		delete(l.conns, near)
		delete(l.conns, far)
		l.mu.Unlock()
	}()
	var both sync.WaitGroup
	both.Go(func() { l.pass(far, near, false) })
	both.Go(func() { l.pass(near, far, true) })
	both.Wait()
}

// pass carries the bytes of one direction until an end is closed.
func (l *line) pass(to, from net.Conn, answers bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if !l.waitToPass(answers) {
			return
		}
		if _, failed := to.Write(buffer[:n]); failed != nil || err != nil {
			return
		}
	}
}

// waitToPass returns when a piece of data may go on, and false when the connection is at its end.
func (l *line) waitToPass(answers bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.delay > 0 {
		delay := l.delay
		l.mu.Unlock()
		time.Sleep(delay)
		l.mu.Lock()
	}
	for l.state == lineFrozen || l.state == lineHalfOpen && answers {
		l.moved.Wait()
	}
	return l.state != lineCut && l.state != lineEnded
}
