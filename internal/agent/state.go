package agent

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/datadir"
)

// Files of the state directory. A restart needs no others, and no flag.
const (
	// authorityFile holds the certificate authorities by which the server is known.
	authorityFile = "ca.crt"
	// certificateFile holds the client certificate and its key.
	certificateFile = "node.pem"
	// joinKeyFile holds the key of a request for the first certificate, until the certificate is there: a bootstrap token is good
	// for one key, and an agent that was killed asks again with the same one.
	joinKeyFile = "join.key"
	// kubeconfigFile names the server, and lets kubectl see what the agent may see.
	kubeconfigFile = "kubeconfig"
)

const (
	nodeUserPrefix = "system:node:"
	nodesGroup     = "system:nodes"
)

// state is the state directory, locked for this process.
type state struct{ *datadir.Dir }

func openState(path string) (state, error) {
	dir, err := datadir.OpenFor(datadir.Use{
		Noun: "state directory", Flag: "--state-dir",
		Files:  []string{authorityFile, certificateFile, joinKeyFile, kubeconfigFile},
		Public: []string{authorityFile},
	}, path)
	return state{dir}, err
}

// server returns the server of the last join, or nil.
func (s state) server() (*url.URL, error) {
	data, err := s.Read(kubeconfigFile)
	if err != nil || data == nil {
		return nil, err
	}
	config, err := clientcmd.Load(data)
	if err != nil {
		return nil, s.damaged(kubeconfigFile, err)
	}
	for _, cluster := range config.Clusters {
		server, err := parseServer(cluster.Server)
		if err != nil {
			return nil, s.damaged(kubeconfigFile, err)
		}
		return server, nil
	}
	return nil, s.damaged(kubeconfigFile, errors.New("it names no server"))
}

func (s state) damaged(name string, err error) error {
	return fmt.Errorf("%s can't be used: %w. Remove it and start the agent with all that 'mintmark node add' printed", s.Path(name), err)
}

// keepServer writes the kubeconfig.
func (s state) keepServer(server *url.URL, node string) error {
	const name = "mintmark"
	data, err := clientcmd.Write(clientcmdapi.Config{
		Clusters:       map[string]*clientcmdapi.Cluster{name: {Server: server.String(), CertificateAuthority: s.Path(authorityFile)}},
		AuthInfos:      map[string]*clientcmdapi.AuthInfo{nodeUserPrefix + node: {ClientCertificate: s.Path(certificateFile), ClientKey: s.Path(certificateFile)}},
		Contexts:       map[string]*clientcmdapi.Context{name: {Cluster: name, AuthInfo: nodeUserPrefix + node}},
		CurrentContext: name,
	})
	if err != nil {
		return err
	}
	return s.Write(kubeconfigFile, data)
}

// certificate returns the client certificate, or nil.
func (s state) certificate() (*tls.Certificate, error) {
	data, err := s.Read(certificateFile)
	if err != nil || data == nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(data, data)
	if err != nil {
		return nil, s.damaged(certificateFile, err)
	}
	return &certificate, nil
}

// nodeOf returns the node that a certificate is for.
func nodeOf(certificate *tls.Certificate) string {
	return strings.TrimPrefix(certificate.Leaf.Subject.CommonName, nodeUserPrefix)
}

func ended(certificate *tls.Certificate, now time.Time) bool {
	return !now.Before(certificate.Leaf.NotAfter)
}

// parseServer reads the address of a server.
func parseServer(text string) (*url.URL, error) {
	server, err := url.Parse(text)
	switch {
	case err != nil, server.Host == "":
		return nil, errors.New("the server must be a URL, such as https://tokens.example.com:7443")
	case server.Scheme != "https":
		return nil, fmt.Errorf("the server must be an https URL, and this one begins with %s:", server.Scheme)
	case server.User != nil, server.RawQuery != "", server.Fragment != "":
		return nil, errors.New("the URL of the server must hold no user, query or fragment")
	}
	return server, nil
}
