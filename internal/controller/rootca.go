package controller

import (
	"context"
	"sync"
	"sync/atomic"
)

// rootCA is the PEM by which clients know the server. It is followed while the controllers run.
type rootCA struct {
	latest  <-chan []byte
	current atomic.Pointer[[]byte]

	mu      sync.Mutex
	changed []func()
}

func newRootCA(current []byte, latest <-chan []byte) *rootCA {
	r := &rootCA{latest: latest}
	r.current.Store(&current)
	return r
}

// pem is empty if there is none to publish.
func (r *rootCA) pem() []byte { return *r.current.Load() }

// onChange adds a function that is called when there is another PEM.
func (r *rootCA) onChange(changed func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.changed = append(r.changed, changed)
}

// follow takes in each new PEM until the context ends.
func (r *rootCA) follow(ctx context.Context) {
	for {
		select {
		case pem := <-r.latest:
			r.current.Store(&pem)
			r.mu.Lock()
			changed := r.changed
			r.mu.Unlock()
			for _, call := range changed {
				call()
			}
		case <-ctx.Done():
			return
		}
	}
}
