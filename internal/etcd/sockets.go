package etcd

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
)

// maxSocketPath is what fits into a Unix socket address on every system (104 bytes on some, 108 on Linux), less the
// closing zero.
const maxSocketPath = 103

// socketDir is the directory through which the socket is named. It is the store's own directory, or, when that has
// too long a name for a socket address, a short link to it: the socket lies in the store's directory in both cases.
type socketDir struct {
	path string
	link string // the private directory that holds the link, if there is one
}

func newSocketDir(dir string) (*socketDir, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("the store's directory %s: %w", dir, err)
	}
	if len(socketURL(abs).Path) <= maxSocketPath {
		return &socketDir{path: abs}, nil
	}
	private, err := os.MkdirTemp("", "mintmark-")
	if err != nil {
		return nil, fmt.Errorf("a short name for the socket of %s can't be made: %w", dir, err)
	}
	link := filepath.Join(private, "d")
	if err := os.Symlink(abs, link); err != nil {
		_ = os.RemoveAll(private)
		return nil, fmt.Errorf("a short name for the socket of %s can't be made: %w", dir, err)
	}
	return &socketDir{path: link, link: private}, nil
}

func (s *socketDir) remove() {
	if s.link != "" {
		_ = os.RemoveAll(s.link)
	}
}

func socketURL(dir string) url.URL {
	return url.URL{Scheme: "unix", Path: filepath.Join(dir, "client.sock")}
}
