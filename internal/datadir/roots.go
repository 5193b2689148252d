package datadir

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/util/cert"
)

// roots are the certificates by which clients know the server.
type roots struct {
	// trusted is for the kubeconfig, whose readers are written in Go: any certificate of the chain will do.
	trusted []byte
	// published is for everybody. Python and Node want the authority at the root of the chain. Empty if it is unknown.
	published []byte
	// shared says that they are those of the servers' own authorities.
	shared bool
}

// rootsOf finds the authority of a server's chain, which stands in PEM: one of the servers' own, one in the chain itself, or
// one that the system knows.
func rootsOf(chainPEM []byte, own Authority, now time.Time) (roots, error) {
	chain, err := cert.ParseCertsPEM(chainPEM)
	if err != nil {
		return roots{}, err
	}
	served := chain[0]
	if selfSigned(served) {
		root := encodeCertificate(served)
		return roots{trusted: root, published: root}, nil
	}
	inFile, intermediates := x509.NewCertPool(), x509.NewCertPool()
	for _, certificate := range chain[1:] {
		if selfSigned(certificate) {
			inFile.AddCert(certificate)
		} else {
			intermediates.AddCert(certificate)
		}
	}
	ours := x509.NewCertPool()
	ours.AppendCertsFromPEM(own.Bundle())
	// Whether the certificate has ended is another question.
	at := earlier(now, served.NotAfter)
	if at.Before(served.NotBefore) {
		at = served.NotBefore
	}
	for _, pool := range []*x509.CertPool{ours, inFile, nil} { // nil is the system's
		options := x509.VerifyOptions{Roots: pool, Intermediates: intermediates, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}}
		chains, err := served.Verify(options)
		if err != nil {
			continue
		}
		if pool == ours {
			return roots{own.Bundle(), own.Bundle(), true}, nil
		}
		root := encodeCertificate(chains[0][len(chains[0])-1])
		return roots{trusted: root, published: root}, nil
	}
	return roots{trusted: chainPEM}, nil
}

// join returns the certificates of two PEM texts, each once.
func join(a, b []byte) []byte {
	joined := bytes.Clone(a)
	for block, rest := pem.Decode(b); block != nil; block, rest = pem.Decode(rest) {
		if encoded := pem.EncodeToMemory(block); !bytes.Contains(joined, encoded) {
			joined = append(joined, encoded...)
		}
	}
	return joined
}

// serverName returns the name under which a client has to look for the server in its certificate, or nothing if the
// host of the server's URL is in it.
func serverName(served *x509.Certificate, want Wanted) (string, error) {
	server, err := url.Parse(want.Server)
	if err != nil {
		return "", fmt.Errorf("the server's URL: %w", err)
	}
	if served.VerifyHostname(server.Hostname()) == nil {
		return "", nil
	}
	names := append([]string(nil), want.Hosts...)
	for _, name := range served.DNSNames {
		names = append(names, strings.Replace(name, "*", "mintmark", 1))
	}
	for _, ip := range served.IPAddresses {
		names = append(names, ip.String())
	}
	for _, name := range names {
		if served.VerifyHostname(name) == nil {
			return name, nil
		}
	}
	return "", nil
}
