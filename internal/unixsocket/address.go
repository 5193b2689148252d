// Package unixsocket provides Unix sockets for services on one machine: how their addresses are written, a listener that
// takes the place of a dead process's socket and of nothing else, and the uid of the process at the other end.
package unixsocket

import (
	"context"
	"errors"
	"fmt"
	"net"
	"regexp"
	"strings"
)

// maxPath is the longest path that every system takes: sockaddr_un has 104 bytes on BSD, and the last one is zero.
const maxPath = 103

// abstractName is what kube-apiserver takes for the name of an abstract socket.
var abstractName = regexp.MustCompile(`^@([a-zA-Z0-9_-]+\.)*[a-zA-Z0-9_-]+$`)

// ErrAbstractName says that the text behind an @ is no name of an abstract socket.
var ErrAbstractName = errors.New("the name behind @ may have letters, digits, '-' and '_', and single dots between them")

// Address is where a socket is: a path, or the name of an abstract socket of Linux with an @ in front.
type Address string

// Parse reads an address: a path, unix:// and an absolute path, or @ and a name, with unix: in front or not.
func Parse(text string) (Address, error) {
	address := text
	if rest, found := strings.CutPrefix(text, "unix:"); found {
		address = rest
		if rest, found := strings.CutPrefix(rest, "//"); found {
			address = rest
			if !strings.HasPrefix(rest, "/") && !strings.HasPrefix(rest, "@") {
				return "", fmt.Errorf("%q has no absolute path: write it with three slashes, as in unix:///run/signer.sock", text)
			}
		}
	} else if scheme, _, found := strings.Cut(text, "://"); found {
		return "", fmt.Errorf("%q is no Unix socket: write it as unix:///run/signer.sock instead of %s://", text, scheme)
	}
	switch {
	case address == "":
		return "", errors.New("no socket is named: write it as unix:///run/signer.sock")
	case strings.HasPrefix(address, "@") && !abstractName.MatchString(address):
		return "", fmt.Errorf("%q: %w", text, ErrAbstractName)
	case strings.ContainsRune(address, 0):
		return "", fmt.Errorf("%q has a zero byte in it", text)
	case len(address) > maxPath:
		return "", fmt.Errorf("%q is longer than the %d bytes that the path of a socket may have: name a shorter one", text, maxPath)
	}
	return Address(address), nil
}

// Abstract reports whether the socket has a name only, and no file.
func (a Address) Abstract() bool { return strings.HasPrefix(string(a), "@") }

// String returns the address as a URL.
func (a Address) String() string { return "unix://" + string(a) }

// Dial connects to the socket.
func (a Address) Dial(ctx context.Context) (net.Conn, error) {
	return (&net.Dialer{}).DialContext(ctx, "unix", string(a))
}
