//go:build !linux

package externaljwt_test

import (
	"context"
	"net"

	"github.com/mintmark/mintmark/internal/unixsocket"
)

func dialAs(ctx context.Context, address unixsocket.Address, _ int) (net.Conn, error) {
	return address.Dial(ctx)
}
