//go:build !unix

package unixsocket

import (
	"io/fs"
	"syscall"
)

func restrict(syscall.RawConn, fs.FileMode) error { return nil }

func lockDirectory(string) (unlock func(), err error) { return func() {}, nil }
