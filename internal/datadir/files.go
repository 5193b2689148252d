package datadir

import (
	"bytes"
	"context"
	"crypto/x509"
	"crypto/x509/pkix"
	"net"
	"os"
	"slices"
	"time"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
)

// checkEvery is how often a running server looks whether a certificate nears its end.
const checkEvery = 12 * time.Hour

// Wanted says what the certificates and the kubeconfig are for.
type Wanted struct {
	// Hosts are the names and addresses at which the server is reached.
	Hosts []string
	// Server is the URL that the kubeconfig names.
	Server string
	// ServingCertificate is a PEM file that the server serves with instead of a certificate of its own; ServingKey is
	// the file of its key.
	ServingCertificate, ServingKey string
}

// Files is what a server and its administrator use.
type Files struct {
	// CA is the PEM of the certificate authority that client certificates come from.
	CA []byte
	// RootCA is the PEM by which clients know the server.
	RootCA []byte
	// ServingCertificate and ServingKey are PEM files.
	ServingCertificate, ServingKey string
	// Made are the names of the files that were missing or no longer good, and have been made.
	Made []string
}

// Ensure makes what is missing of the certificates and the kubeconfig, or is about to end.
func (d *Dir) Ensure(want Wanted, now time.Time) (*Files, error) {
	ca, made, err := d.authority(now)
	if err != nil {
		return nil, err
	}
	files := &Files{CA: ca.pem, RootCA: ca.pem, ServingCertificate: want.ServingCertificate, ServingKey: want.ServingKey}
	note := func(made bool, name string) {
		if made {
			files.Made = append(files.Made, d.Path(name))
		}
	}
	note(made, CACertificate)
	if want.ServingCertificate == "" {
		made, err = d.serving(ca, want.Hosts, now)
		if err != nil {
			return nil, err
		}
		note(made, servingCrt)
		files.ServingCertificate, files.ServingKey = d.Path(servingCrt), d.Path(servingKey)
	} else if files.RootCA, err = os.ReadFile(want.ServingCertificate); err != nil {
		return nil, err
	}
	made, err = d.kubeconfig(ca, want.Server, files.RootCA, now)
	note(made, AdminKubeconfig)
	return files, err
}

// RenewCertificates replaces certificates before they end, for as long as the context lasts.
func (d *Dir) RenewCertificates(ctx context.Context, want Wanted) {
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-ticker.C:
			files, err := d.Ensure(want, now)
			if err != nil {
				klog.FromContext(ctx).Error(err, "The certificates in the data directory can't be renewed")
			} else if len(files.Made) > 0 {
				klog.FromContext(ctx).Info("Certificates renewed", "files", files.Made)
			}
		}
	}
}

// serving makes the serving certificate, unless there is one that will do.
func (d *Dir) serving(ca *authority, hosts []string, now time.Time) (made bool, err error) {
	pem, err := d.read(servingCrt)
	if err != nil {
		return false, err
	}
	if found, err := cert.ParseCertsPEM(pem); err == nil && ca.stands(found[0], now) && covers(found[0], hosts) {
		return false, nil
	}
	template := leaf(pkix.Name{CommonName: "mintmark"}, x509.ExtKeyUsageServerAuth, now)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	certificate, keyPEM, err := ca.issueLeaf(template)
	if err != nil {
		return false, err
	}
	if err := d.write(servingKey, keyPEM, privateMode); err != nil {
		return false, err
	}
	return true, d.write(servingCrt, append(encodeCertificate(certificate), ca.pem...), publicMode)
}

func covers(c *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return c.VerifyHostname(host) != nil })
}

// kubeconfig makes the administrator's kubeconfig, unless there is one that will do.
func (d *Dir) kubeconfig(ca *authority, server string, rootCA []byte, now time.Time) (made bool, err error) {
	if old, err := clientcmd.LoadFromFile(d.Path(AdminKubeconfig)); err == nil && ca.current(old, server, rootCA, now) {
		return false, nil
	}
	certificate, keyPEM, err := ca.issueLeaf(leaf(
		pkix.Name{CommonName: "admin", Organization: []string{user.SystemPrivilegedGroup}}, x509.ExtKeyUsageClientAuth, now))
	if err != nil {
		return false, err
	}
	const name, admin = "mintmark", "admin"
	config := clientcmdapi.NewConfig()
	config.Clusters[name] = &clientcmdapi.Cluster{Server: server, CertificateAuthorityData: rootCA}
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
func (a *authority) current(config *clientcmdapi.Config, server string, rootCA []byte, now time.Time) bool {
	context := config.Contexts[config.CurrentContext]
	if context == nil || config.Clusters[context.Cluster] == nil || config.AuthInfos[context.AuthInfo] == nil {
		return false
	}
	cluster, admin := config.Clusters[context.Cluster], config.AuthInfos[context.AuthInfo]
	found, err := cert.ParseCertsPEM(admin.ClientCertificateData)
	return err == nil && a.stands(found[0], now) && cluster.Server == server && bytes.Equal(cluster.CertificateAuthorityData, rootCA)
}
