package externaljwt

import (
	"context"
	"errors"
	"net"

	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/peer"

	"github.com/mintmark/mintmark/internal/unixsocket"
)

// peers are gRPC credentials that consist of the peer's uid, which the kernel tells.
type peers struct{}

// peerInfo is the uid of a peer.
type peerInfo struct {
	credentials.CommonAuthInfo
	uid int
}

// AuthType names the kind of credentials.
func (peerInfo) AuthType() string { return "SO_PEERCRED" }

// ServerHandshake asks the kernel who has connected. Where it can't tell, the mode of the socket alone decides.
func (peers) ServerHandshake(connection net.Conn) (net.Conn, credentials.AuthInfo, error) {
	if !unixsocket.KnowsPeers {
		return connection, nil, nil
	}
	uid, err := unixsocket.PeerUID(connection)
	if err != nil {
		return nil, nil, err
	}
	return connection, peerInfo{credentials.CommonAuthInfo{SecurityLevel: credentials.PrivacyAndIntegrity}, uid}, nil
}

// ClientHandshake is not for servers.
func (peers) ClientHandshake(context.Context, string, net.Conn) (net.Conn, credentials.AuthInfo, error) {
	return nil, nil, errors.New("these credentials are for servers")
}

// Info describes the credentials.
func (peers) Info() credentials.ProtocolInfo {
	return credentials.ProtocolInfo{SecurityProtocol: "SO_PEERCRED"}
}

// Clone returns the credentials.
func (peers) Clone() credentials.TransportCredentials { return peers{} }

// OverrideServerName is deprecated and does nothing.
func (peers) OverrideServerName(string) error { return nil }

// peerOf returns the uid of the process that calls, if it is known.
func peerOf(ctx context.Context) (uid int, known bool) {
	caller, ok := peer.FromContext(ctx)
	if !ok {
		return 0, false
	}
	info, ok := caller.AuthInfo.(peerInfo)
	return info.uid, ok
}
