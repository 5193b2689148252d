package etcd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"

	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// Served reports whether a process serves the store in a directory. It fails if this process may not ask.
func Served(ctx context.Context, dir string) (bool, error) {
	sockets, err := newSocketDir(dir)
	if err != nil {
		return false, err
	}
	defer sockets.remove()
	conn, err := (&net.Dialer{Timeout: reachTimeout}).DialContext(ctx, "unix", socketURL(sockets.path).Path)
	if errors.Is(err, fs.ErrPermission) {
		return false, fmt.Errorf("the store in %s belongs to another user: run this as that user: %w", dir, err)
	}
	if err != nil {
		return false, nil // no process is there
	}
	return true, conn.Close()
}

// SaveSnapshot writes a snapshot of the store in a directory that a process serves. It is the state at one instant: the database
// and the SHA-256 sum of it, as etcdctl writes them. What was written when it fails is no snapshot.
func SaveSnapshot(ctx context.Context, dir string, w io.Writer) error {
	sockets, err := newSocketDir(dir)
	if err != nil {
		return err
	}
	defer sockets.remove()
	address := socketURL(sockets.path)
	client, err := Connect(storagebackend.TransportConfig{ServerList: []string{address.String()}})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	made, err := client.SnapshotWithVersion(ctx)
	if err != nil {
		return fmt.Errorf("the store makes no snapshot: %w", err)
	}
	defer func() { _ = made.Snapshot.Close() }()
	check := newSumCheck()
	_, err = io.Copy(io.MultiWriter(w, check), made.Snapshot)
	if err == nil {
		err = check.fits()
	}
	if err != nil {
		return fmt.Errorf("the snapshot was not written whole: %w", err)
	}
	return nil
}
