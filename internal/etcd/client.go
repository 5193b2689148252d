package etcd

import (
	"crypto/tls"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/etcd/client/pkg/v3/transport"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"
	"k8s.io/apiserver/pkg/storage/storagebackend"
)

// Keep-alive of connections: a connection that is dead, or whose other end hangs, is noticed after the sum of both.
// etcd refuses clients that ask more often than every 5 s.
const keepAliveTime, keepAliveTimeout = 10 * time.Second, 3 * time.Second

// Connect returns a client of the servers that a configuration of storage names. It connects when it is first used.
func Connect(to storagebackend.TransportConfig) (*clientv3.Client, error) {
	if len(to.ServerList) == 0 {
		return nil, errors.New("no etcd server is named")
	}
	var tlsConfig *tls.Config
	if to.CertFile != "" || to.KeyFile != "" || to.TrustedCAFile != "" {
		info := transport.TLSInfo{CertFile: to.CertFile, KeyFile: to.KeyFile, TrustedCAFile: to.TrustedCAFile}
		var err error
		if tlsConfig, err = info.ClientConfig(); err != nil {
			return nil, fmt.Errorf("--etcd-certfile, --etcd-keyfile, --etcd-cafile: %w", err)
		}
	}
	return clientv3.New(clientv3.Config{
		Endpoints:            to.ServerList,
		TLS:                  tlsConfig,
		DialKeepAliveTime:    keepAliveTime,
		DialKeepAliveTimeout: keepAliveTimeout,
		// What fails is told by those who ask.
		Logger: zap.NewNop(),
	})
}
