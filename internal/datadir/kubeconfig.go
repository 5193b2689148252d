package datadir

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
)

// handshakeTimeout bounds a handshake inside the process.
const handshakeTimeout = 10 * time.Second

// kubeconfig makes the administrator's kubeconfig, unless the one that is there will do.
func (d *Dir) kubeconfig(signer Authority, cluster clientcmdapi.Cluster, backdate time.Duration, now time.Time) (made bool, err error) {
	old, err := d.read(AdminKubeconfig)
	if err != nil {
		return false, err
	}
	if config, err := clientcmd.Load(old); err == nil && current(signer, config, cluster, now) {
		return false, nil
	}
	certificate, keyPEM, err := signer.Issue(leaf(
		pkix.Name{CommonName: "admin", Organization: []string{user.SystemPrivilegedGroup}}, x509.ExtKeyUsageClientAuth, backdate, now))
	if err != nil {
		return false, err
	}
	const name, admin = "mintmark", "admin"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &cluster
	config.AuthInfos[admin] = &clientcmdapi.AuthInfo{ClientCertificateData: encodeCertificate(certificate), ClientKeyData: keyPEM}
	config.Contexts[name] = &clientcmdapi.Context{Cluster: name, AuthInfo: admin, Namespace: "default"}
	config.CurrentContext = name
	data, err := clientcmd.Write(*config)
	if err != nil {
		return false, err
	}
	return true, d.write(AdminKubeconfig, data, privateMode)
}

// current reports whether a kubeconfig leads to the server with a certificate that is good for a while.
func current(a Authority, config *clientcmdapi.Config, want clientcmdapi.Cluster, now time.Time) bool {
	cluster, admin := parts(config)
	if cluster == nil || admin == nil {
		return false
	}
	pair, err := tls.X509KeyPair(admin.ClientCertificateData, admin.ClientKeyData)
	return err == nil && stands(a, pair.Leaf, now) && cluster.Server == want.Server && cluster.TLSServerName == want.TLSServerName &&
		bytes.Equal(cluster.CertificateAuthorityData, want.CertificateAuthorityData)
}

// parts returns the cluster and the user of the current context.
func parts(config *clientcmdapi.Config) (*clientcmdapi.Cluster, *clientcmdapi.AuthInfo) {
	context := config.Contexts[config.CurrentContext]
	if context == nil {
		return nil, nil
	}
	return config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
}

// tryKubeconfig makes a TLS handshake inside the process, as the holder of the kubeconfig would with the server.
func (d *Dir) tryKubeconfig(chain, key, clientCA []byte, now time.Time) error {
	data, err := d.read(AdminKubeconfig)
	if err != nil {
		return err
	}
	config, err := clientcmd.Load(data)
	if err != nil {
		return err
	}
	cluster, admin := parts(config)
	if cluster == nil || admin == nil {
		return errors.New("its current context is incomplete")
	}
	client, err := clientTLS(cluster, admin)
	if err != nil {
		return err
	}
	served, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return err
	}
	accepted := x509.NewCertPool()
	accepted.AppendCertsFromPEM(clientCA)
	server := &tls.Config{
		Certificates: []tls.Certificate{served}, ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: accepted, MinVersion: tls.VersionTLS12,
	}
	client.Time = func() time.Time { return now }
	server.Time = client.Time
	return handshake(client, server)
}

// clientTLS is the TLS configuration that a kubeconfig asks for.
func clientTLS(cluster *clientcmdapi.Cluster, admin *clientcmdapi.AuthInfo) (*tls.Config, error) {
	pair, err := tls.X509KeyPair(admin.ClientCertificateData, admin.ClientKeyData)
	if err != nil {
		return nil, err
	}
	trusted, err := cert.ParseCertsPEM(cluster.CertificateAuthorityData)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	for _, certificate := range trusted {
		pool.AddCert(certificate)
	}
	address, err := url.Parse(cluster.Server)
	if err != nil {
		return nil, err
	}
	name := cluster.TLSServerName
	if name == "" {
		name = address.Hostname()
	}
	return &tls.Config{RootCAs: pool, ServerName: name, Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}, nil
}

// handshake connects a client and a server in memory. The client's error comes first: it says what is wrong with the server.
func handshake(client, server *tls.Config) error {
	near, far := net.Pipe()
	defer func() { _, _ = near.Close(), far.Close() }()
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTimeout)
	defer cancel()
	server.SessionTicketsDisabled = true // nothing would read them
	accepted := make(chan error, 1)
	go func() { accepted <- tls.Server(far, server).HandshakeContext(ctx) }()
	caller := tls.Client(near, client)
	if err := caller.HandshakeContext(ctx); err != nil {
		return err
	}
	// The server checks the client's certificate after the client is done, and may send an alert.
	go func() { _, _ = io.Copy(io.Discard, caller) }()
	if err := <-accepted; err != nil {
		return fmt.Errorf("its client certificate is refused: %w", err)
	}
	return nil
}
