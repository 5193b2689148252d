package datadir

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"net"
	"os"
	"slices"
	"time"

	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/client-go/util/cert"
	"k8s.io/klog/v2"
)

// checkEvery is how often a running server looks whether a certificate nears its end. A clock that was wrong at the start
// is noticed no later than that.
const checkEvery = time.Minute

// Wanted says what the certificates and the kubeconfig are for.
type Wanted struct {
	// Identity signs the certificates and knows the other servers over the store.
	Identity Identity
	// Hosts are the names and addresses at which the server is reached.
	Hosts []string
	// Backdate is how long before its making the administrator's certificate begins.
	Backdate time.Duration
	// Server is the URL that the kubeconfig names.
	Server string
	// ServingCertificate is a PEM file that the server serves with instead of a certificate of its own; ServingKey is
	// the file of its key.
	ServingCertificate, ServingKey string
}

// Files is what a server and its administrator use.
type Files struct {
	// CA is the PEM of the certificate authorities that client certificates come from. CAFile holds a copy.
	CA     []byte
	CAFile string
	// RootCA is the PEM by which clients written in Go know the server, and the other servers over the store.
	RootCA []byte
	// PublishedRootCA is the PEM by which every client knows the servers over the store: the authorities at the roots of their
	// chains. It is the same at each of them, and empty if no such authority is known.
	PublishedRootCA []byte
	// ServingCertificate and ServingKey are PEM files.
	ServingCertificate, ServingKey string
	// Made are the names of the files that were missing or no longer good, and have been made.
	Made []string
	// Problems are sentences about what does not work although the server can start.
	Problems []string
}

// Ensure makes those of the certificates and the kubeconfig that are missing, don't fit or are about to end.
func (d *Dir) Ensure(ctx context.Context, want Wanted, now time.Time) (*Files, error) {
	authority := want.Identity.Authority(now)
	files := &Files{CA: authority.Bundle(), CAFile: d.Path(CACertificate), ServingCertificate: want.ServingCertificate, ServingKey: want.ServingKey}
	note := func(made bool, name string) {
		if made {
			files.Made = append(files.Made, d.Path(name))
		}
	}
	made, err := d.copyAuthorities(files.CA)
	if err != nil {
		return nil, err
	}
	note(made, CACertificate)
	var served tls.Certificate
	var chain, key []byte
	if want.ServingCertificate == "" {
		files.ServingCertificate, files.ServingKey = d.Path(servingCrt), d.Path(servingKey)
		made, err = d.serving(authority, want.Hosts, now)
		note(made, servingCrt)
		if err == nil {
			served, chain, key, err = d.ownPair()
		}
	} else {
		served, chain, key, err = givenPair(want)
	}
	if err != nil {
		return nil, err
	}
	cluster, err := files.cluster(ctx, want, served.Leaf, chain, authority, now)
	if err != nil {
		return nil, err
	}
	made, err = d.kubeconfig(authority, cluster, want.Backdate, now)
	if err != nil {
		return nil, err
	}
	note(made, AdminKubeconfig)
	if err := d.tryKubeconfig(chain, key, files.CA, now); err != nil {
		files.Problems = append(files.Problems, fmt.Sprintf("%s does not work with the certificate in %s: %v%s",
			d.Path(AdminKubeconfig), files.ServingCertificate, err, advice(want)))
	}
	return files, nil
}

// advice says what mends a kubeconfig that does not work.
func advice(want Wanted) string {
	if want.ServingCertificate == "" {
		return "; is the clock of this machine right?"
	}
	return fmt.Sprintf("; give --tls-cert-file a certificate for servers that is valid now and names one of %q, with that of its authority behind it", want.Hosts)
}

// copyAuthorities writes the authorities to ca.crt, unless they are there.
func (d *Dir) copyAuthorities(bundle []byte) (made bool, err error) {
	if was, err := d.read(CACertificate); err != nil || bytes.Equal(was, bundle) {
		return false, err
	}
	return true, d.write(CACertificate, bundle, publicMode)
}

// cluster is what the kubeconfig says about the server.
func (f *Files) cluster(ctx context.Context, want Wanted, served *x509.Certificate, chain []byte, authority Authority, now time.Time) (clientcmdapi.Cluster, error) {
	found, err := rootsOf(chain, authority, now)
	if err != nil {
		return clientcmdapi.Cluster{}, fmt.Errorf("%s: %w", f.ServingCertificate, err)
	}
	f.PublishedRootCA = want.Identity.Publish(ctx, found.published, found.shared)
	f.RootCA = join(found.trusted, f.PublishedRootCA)
	if len(found.published) == 0 {
		f.Problems = append(f.Problems, fmt.Sprintf("the authority of the certificate in %s is neither in that file nor known to this system, so token secrets get no %s for this server; append the authority's certificate to the file",
			f.ServingCertificate, CACertificate))
	}
	name, err := serverName(served, want)
	return clientcmdapi.Cluster{Server: want.Server, TLSServerName: name, CertificateAuthorityData: f.RootCA}, err
}

// ownPair reads the serving certificate of the directory.
func (d *Dir) ownPair() (pair tls.Certificate, chain, key []byte, err error) {
	if chain, err = d.read(servingCrt); err != nil {
		return pair, nil, nil, err
	}
	if key, err = d.read(servingKey); err != nil {
		return pair, nil, nil, err
	}
	pair, err = tls.X509KeyPair(chain, key)
	return pair, chain, key, err
}

// givenPair reads the serving certificate that the operator named.
func givenPair(want Wanted) (pair tls.Certificate, chain, key []byte, err error) {
	if chain, err = os.ReadFile(want.ServingCertificate); err != nil {
		return pair, nil, nil, fmt.Errorf("--tls-cert-file: %w", err)
	}
	if key, err = os.ReadFile(want.ServingKey); err != nil {
		return pair, nil, nil, fmt.Errorf("--tls-private-key-file: %w", err)
	}
	if pair, err = tls.X509KeyPair(chain, key); err != nil {
		return pair, nil, nil, fmt.Errorf("--tls-cert-file %s and --tls-private-key-file %s don't go together: %w", want.ServingCertificate, want.ServingKey, err)
	}
	return pair, chain, key, nil
}

// RenewCertificates keeps certificates and kubeconfig good for as long as the context lasts: it replaces certificates before
// they end and follows those of the operator and the identity: a value on changes says that one of those is another. The files
// are those of the start. Whenever clients have to know the server by other authorities, renewed is called with the new ones.
func (d *Dir) RenewCertificates(ctx context.Context, want Wanted, files *Files, changes <-chan struct{}, renewed func(*Files)) {
	log := klog.FromContext(ctx)
	ticker := time.NewTicker(checkEvery)
	defer ticker.Stop()
	report(log, files.Problems, nil)
	var failed string
	for {
		select {
		case <-ctx.Done():
			return
		case <-changes:
		case <-ticker.C:
		}
		latest, err := d.Ensure(ctx, want, time.Now())
		if err != nil {
			if failed != err.Error() {
				log.Error(err, "The certificates can't be renewed, so those of before stay in use")
			}
			failed = err.Error()
			continue
		}
		failed = ""
		report(log, latest.Problems, files.Problems)
		if len(latest.Made) > 0 {
			log.Info("Certificates renewed", "files", latest.Made)
		}
		same := bytes.Equal(latest.RootCA, files.RootCA) && bytes.Equal(latest.PublishedRootCA, files.PublishedRootCA)
		if files = latest; !same {
			renewed(files)
		}
	}
}

// report logs the problems that have not been reported before.
func report(log klog.Logger, problems, reported []string) {
	for _, problem := range problems {
		if !slices.Contains(reported, problem) {
			log.Error(nil, problem)
		}
	}
}

// serving makes the serving certificate, unless the one that is there will do. The certificates behind it may be made anew alone.
func (d *Dir) serving(authority Authority, hosts []string, now time.Time) (made bool, err error) {
	chain, err := d.read(servingCrt)
	if err != nil {
		return false, err
	}
	key, err := d.read(servingKey)
	if err != nil {
		return false, err
	}
	pair, err := tls.X509KeyPair(chain, key)
	good := err == nil && stands(authority, pair.Leaf, now) && covers(pair.Leaf, hosts)
	if good {
		if behind, err := cert.ParseCertsPEM(chain); err == nil && authority.Leads(behind[1:]) {
			return false, nil
		}
	}
	behind, err := authority.Chain()
	if err != nil {
		return false, err
	}
	if good {
		return true, d.write(servingCrt, append(encodeCertificate(pair.Leaf), behind...), publicMode)
	}
	template := leaf(pkix.Name{CommonName: "mintmark"}, x509.ExtKeyUsageServerAuth, clockSkew, now)
	for _, host := range hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	certificate, keyPEM, err := authority.Issue(template)
	if err != nil {
		return false, err
	}
	if err := d.write(servingKey, keyPEM, privateMode); err != nil {
		return false, err
	}
	return true, d.write(servingCrt, append(encodeCertificate(certificate), behind...), publicMode)
}

func covers(c *x509.Certificate, hosts []string) bool {
	return !slices.ContainsFunc(hosts, func(host string) bool { return c.VerifyHostname(host) != nil })
}
