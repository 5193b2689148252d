package apiserver

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	genericoptions "k8s.io/apiserver/pkg/server/options"

	"github.com/mintmark/mintmark/internal/certificates"
	"github.com/mintmark/mintmark/internal/datadir"
)

// endpoint is where the server listens and by which names and certificate it is known there.
type endpoint struct {
	serving genericoptions.SecureServingOptions
	// address is the host and port under which others reach the server.
	address string
	wanted  datadir.Wanted
	files   *datadir.Files
	// changed receives a value when the serving certificate was read again or the identity is another.
	changed chan struct{}
	// rootCAs receives the authority for token secrets when it has changed.
	rootCAs chan []byte
	// cut closes all connections when the server stops; nil lets them end.
	cut func()
}

// listen takes the port, so that it is known.
func listen(cfg Config) (*endpoint, error) {
	serving := *cfg.Serving
	config := net.ListenConfig{Control: sharing(serving.PermitAddressSharing, serving.PermitPortSharing)}
	listener, err := config.Listen(context.Background(), "tcp", (&net.TCPAddr{IP: serving.BindAddress, Port: serving.BindPort}).String())
	if err != nil {
		return nil, explainListen(err, serving.BindAddress, serving.BindPort)
	}
	port := listener.Addr().(*net.TCPAddr).Port
	serving.Listener, serving.BindPort = listener, port
	var cut func()
	if cfg.Ephemeral {
		cuttable := newCutListener(listener)
		serving.Listener, cut = cuttable, cuttable.cut
	}
	address := cfg.Server.ExternalHost
	if _, _, err := net.SplitHostPort(address); err != nil {
		address = net.JoinHostPort(address, strconv.Itoa(port))
	}
	certificate := &serving.ServerCert.CertKey
	wanted := datadir.Wanted{
		Hosts:              hosts(cfg),
		Backdate:           certificates.Backdate,
		Server:             "https://" + net.JoinHostPort(reachable(serving.BindAddress), strconv.Itoa(port)),
		ServingCertificate: certificate.CertFile,
		ServingKey:         certificate.KeyFile,
	}
	return &endpoint{
		serving: serving, address: address, wanted: wanted,
		cut: cut, changed: make(chan struct{}, 1), rootCAs: make(chan []byte, 1),
	}, nil
}

// url is where others reach the server.
func (e *endpoint) url() string { return "https://" + e.address }

// certify makes the certificates for the port that are missing.
func (e *endpoint) certify(ctx context.Context, dir *datadir.Dir, shared datadir.Identity) (err error) {
	e.wanted.Identity = shared
	if e.files, err = dir.Ensure(ctx, e.wanted, time.Now()); err != nil {
		return fmt.Errorf("the certificates in the data directory: %w", err)
	}
	certificate := &e.serving.ServerCert.CertKey
	certificate.CertFile, certificate.KeyFile = e.files.ServingCertificate, e.files.ServingKey
	return nil
}

// sharing returns what sets the options of a listening socket that lets others have the same address or port.
func sharing(address, port bool) func(network, address string, socket syscall.RawConn) error {
	return func(_, _ string, socket syscall.RawConn) error {
		var options []int
		if address {
			options = append(options, unix.SO_REUSEADDR)
		}
		if port {
			options = append(options, unix.SO_REUSEPORT)
		}
		var failed error
		err := socket.Control(func(fd uintptr) {
			for _, option := range options {
				failed = errors.Join(failed, unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, option, 1))
			}
		})
		return errors.Join(err, failed)
	}
}

// Enqueue notes that the serving certificate was read again, which the library tells, or that the identity is another.
func (e *endpoint) Enqueue() {
	select {
	case e.changed <- struct{}{}:
	default: // noted already
	}
}

// renewed hands on the authority of renewed certificates. One that has not been fetched yet is replaced.
func (e *endpoint) renewed(files *datadir.Files) {
	select {
	case <-e.rootCAs:
	default:
	}
	e.rootCAs <- files.PublishedRootCA
}

// explainListen says what to do if the server can't listen.
func explainListen(err error, address net.IP, port int) error {
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		return fmt.Errorf("another program listens on port %d of %s: stop it, or name another port with --secure-port", port, address)
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		return fmt.Errorf("this machine has no address %s: name one of its own with --bind-address, or 0.0.0.0 for all", address)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("this user may not listen on port %d: name one from 1024 on with --secure-port, or give the program the right (CAP_NET_BIND_SERVICE)", port)
	}
	return fmt.Errorf("the server can't listen on the address of --bind-address and --secure-port: %w", err)
}

// close stops listening.
func (e *endpoint) close() { _ = e.serving.Listener.Close() }
