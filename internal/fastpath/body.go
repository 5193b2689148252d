package fastpath

import (
	"bytes"
	"errors"
	"io"
	"net/http"
	"slices"
)

// maxBody is the longest body of one review or request that is read here. A token of this size would be a large one.
const maxBody = 64 << 10

// body is the part of a request's body that has been read, the part that hasn't, and the answer.
type body struct {
	read []byte
	rest io.ReadCloser
	// out holds the answer.
	out []byte
}

func newBody() body { return body{read: make([]byte, 0, 4<<10), out: make([]byte, 0, 4<<10)} }

// readBody reads the whole body. It reports false for one that is too long, that breaks off, or that takes longer than
// the request may.
func (h *Handler) readBody(c *call) bool {
	w := c.writer
	late := c.whenLate(func() { _ = http.NewResponseController(w).SetReadDeadline(past) }) // an error means that there is no connection
	defer late()
	b := &c.payload.body
	b.rest = c.request.Body
	limit := c.route.maxBody
	if length := int(c.request.ContentLength); length >= cap(b.read) {
		b.read = make([]byte, 0, length+1) // one more, for the end to be found without another buffer
	}
	for {
		if len(b.read) == cap(b.read) {
			b.read = slices.Grow(b.read, len(b.read))
		}
		n, err := b.rest.Read(b.read[len(b.read):min(cap(b.read), limit+1)])
		b.read = b.read[:len(b.read)+n]
		if errors.Is(err, io.EOF) {
			return len(b.read) <= limit
		}
		if err != nil || len(b.read) > limit {
			return false
		}
	}
}

// unread returns the body as it was.
func (b *body) unread() io.ReadCloser {
	return struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(bytes.Clone(b.read)), b.rest), b.rest}
}

// clear overwrites what was in it: tokens.
func (b *body) clear() {
	clear(b.read[:cap(b.read)])
	clear(b.out[:cap(b.out)])
	b.read, b.out = b.read[:0], b.out[:0]
}

// small reports whether it is worth keeping.
func (b *body) small() bool { return cap(b.read)+cap(b.out) <= 4*maxBody }
