package etcd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"strings"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/client-go/util/cert"
)

// reachTimeout bounds how long the servers of an external etcd may take to answer when the process starts.
const reachTimeout = 4 * time.Second

// Reach returns nil if one of the servers of an external etcd answers, and otherwise an error that names them, the flag,
// and why each does not.
func Reach(ctx context.Context, cfg storagebackend.TransportConfig) error {
	config, err := clientTLS(cfg)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, reachTimeout)
	defer cancel()
	answers := make(chan error, len(cfg.ServerList))
	for _, server := range cfg.ServerList {
		go func() {
			err := reach(ctx, server, config)
			if err != nil {
				err = fmt.Errorf("%s: %w", server, err)
			}
			answers <- err
		}()
	}
	var failures []string
	for range cfg.ServerList {
		err := <-answers
		if err == nil {
			return nil
		}
		failures = append(failures, err.Error())
	}
	return fmt.Errorf("no etcd answers at --etcd-servers (%s): start it, or correct the flag", strings.Join(failures, "; "))
}

// clientTLS returns the TLS configuration that the files name, nil without any: what the library makes of them, but with
// errors that name flag and file.
func clientTLS(cfg storagebackend.TransportConfig) (*tls.Config, error) {
	if cfg.CertFile == "" && cfg.KeyFile == "" && cfg.TrustedCAFile == "" {
		return nil, nil
	}
	if cfg.TrustedCAFile != "" {
		if _, err := cert.NewPool(cfg.TrustedCAFile); err != nil {
			return nil, fmt.Errorf("--etcd-cafile %s: %w", cfg.TrustedCAFile, err)
		}
	}
	if cfg.CertFile != "" || cfg.KeyFile != "" {
		if _, err := tls.LoadX509KeyPair(cfg.CertFile, cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("--etcd-certfile %s, --etcd-keyfile %s: %w", cfg.CertFile, cfg.KeyFile, err)
		}
	}
	info := transport.TLSInfo{CertFile: cfg.CertFile, KeyFile: cfg.KeyFile, TrustedCAFile: cfg.TrustedCAFile}
	return info.ClientConfig()
}

// reach asks one server for a key. Connection and handshake are tried before, since the client of etcd waits for a server
// that is down, and does not say what it waits for.
func reach(ctx context.Context, server string, config *tls.Config) error {
	if err := dial(ctx, server, config); err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{Context: ctx, Endpoints: []string{server}, TLS: config, Logger: zap.NewNop()})
	if err != nil {
		return err
	}
	defer func() { _ = client.Close() }()
	_, err = client.Get(ctx, "health")
	switch status.Code(err) {
	case codes.OK, codes.PermissionDenied, codes.Unauthenticated, codes.InvalidArgument:
		return nil // it answers
	}
	if ctx.Err() != nil || errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("it takes connections, but does not answer as etcd within %v", reachTimeout)
	}
	return errors.New(status.Convert(err).Message())
}

func dial(ctx context.Context, server string, config *tls.Config) error {
	network, address, secure := "tcp", server, config != nil
	if parsed, err := url.Parse(server); err == nil && strings.Contains(server, "://") {
		secure = parsed.Scheme == "https"
		address = parsed.Host
		if parsed.Scheme == "unix" || parsed.Scheme == "unixs" {
			network, address = "unix", parsed.Host+parsed.Path
		}
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
		return fmt.Errorf("it takes no connection within %v", reachTimeout)
	}
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	if !secure {
		return nil
	}
	if config = config.Clone(); config == nil {
		config = &tls.Config{MinVersion: tls.VersionTLS12}
	}
	if config.ServerName == "" {
		if config.ServerName, _, err = net.SplitHostPort(address); err != nil {
			return err
		}
	}
	return tls.Client(conn, config).HandshakeContext(ctx)
}
