package unixsocket

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
)

// KnowsPeers says whether PeerUID works on this system.
const KnowsPeers = true

// PeerUID returns the uid with which the process at the other end connected (SO_PEERCRED).
func PeerUID(connection net.Conn) (int, error) {
	socket, ok := connection.(*net.UnixConn)
	if !ok {
		return 0, fmt.Errorf("a %T is no Unix socket", connection)
	}
	raw, err := socket.SyscallConn()
	if err != nil {
		return 0, err
	}
	var credentials *unix.Ucred
	var failure error
	if err := raw.Control(func(fd uintptr) {
		credentials, failure = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil {
		return 0, err
	}
	if failure != nil {
		return 0, failure
	}
	return int(credentials.Uid), nil
}
