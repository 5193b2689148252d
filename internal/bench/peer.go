package main

import (
	"cmp"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

// peerFlags describe another server of the same API.
type peerFlags struct {
	url  string
	pids []int
	name string
	// kubeconfig is an administrator's, and has all that it takes but for the signing key. Other flags go before it.
	// All of these are names of files.
	kubeconfig                              string
	ca, certificate, key, token, signingKey string
}

func (p *peerFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&p.url, "peer", "", "URL of another server of the API to measure along, on this machine")
	fs.IntSliceVar(&p.pids, "peer-pid", nil, "its process id; several, separated by commas, are counted together")
	fs.StringVar(&p.name, "peer-name", "peer", "what it is called in the table")
	fs.StringVar(&p.kubeconfig, "peer-kubeconfig", "", "kubeconfig of an administrator there: a namespace, accounts and roles are made, and removed at the end. The flags that follow can be given instead")
	fs.StringVar(&p.ca, "peer-ca", "", "PEM file of the authority of its certificate")
	fs.StringVar(&p.token, "peer-token-file", "", "file with the token of an administrator there")
	fs.StringVar(&p.certificate, "peer-client-certificate", "", "PEM file of a client certificate, the administrator's if there is no token. The caller of ReviewWarmByCertificate has it too")
	fs.StringVar(&p.key, "peer-client-key", "", "PEM file of its key")
	fs.StringVar(&p.signingKey, "peer-signing-key-file", "", "PEM file of the P-256 key that it signs tokens with. Without it, new tokens are requested, which takes longer")
}

// given says whether there is a peer.
func (p *peerFlags) given() bool { return p.url != "" || p.kubeconfig != "" }

func (p *peerFlags) validate() error {
	switch {
	case !p.given() && (len(p.pids) > 0 || p.ca+p.token+p.certificate+p.key+p.signingKey != ""):
		return errors.New("a --peer-... flag says more of a server that neither --peer nor --peer-kubeconfig names")
	case !p.given():
		return nil
	case len(p.pids) == 0:
		return errors.New("--peer-pid is needed, too, to know the CPU that the peer takes")
	case (p.certificate == "") != (p.key == ""):
		return errors.New("--peer-client-certificate and --peer-client-key go together")
	case p.kubeconfig == "" && p.token == "" && p.certificate == "":
		return errors.New("an administrator is needed to prepare the peer: --peer-kubeconfig, --peer-token-file, or --peer-client-certificate and --peer-client-key")
	}
	return nil
}

// site is the peer as one of the servers that are measured.
func (p *peerFlags) site() (*site, error) {
	config, err := p.admin()
	if err != nil {
		return nil, err
	}
	s := &site{name: p.name, pids: p.pids, admin: config}
	if p.certificate != "" {
		pair, err := tls.LoadX509KeyPair(p.certificate, p.key)
		if err != nil {
			return nil, fmt.Errorf("--peer-client-certificate: %w", err)
		}
		s.certificate = &pair
	} else if len(config.CertData) > 0 {
		pair, err := tls.X509KeyPair(config.CertData, config.KeyData)
		if err != nil {
			return nil, fmt.Errorf("--peer-kubeconfig: %w", err)
		}
		s.certificate = &pair
	}
	if p.signingKey != "" {
		if s.signingKey, err = readSigningKey(p.signingKey); err != nil {
			return nil, fmt.Errorf("--peer-signing-key-file: %w", err)
		}
	}
	return s, nil
}

// admin is the connection of the peer's administrator.
func (p *peerFlags) admin() (*rest.Config, error) {
	config := &rest.Config{}
	if p.kubeconfig != "" {
		var err error
		if config, err = clientcmd.BuildConfigFromFlags("", p.kubeconfig); err != nil {
			return nil, fmt.Errorf("--peer-kubeconfig: %w", err)
		}
		if err := rest.LoadTLSFiles(config); err != nil {
			return nil, fmt.Errorf("--peer-kubeconfig: %w", err)
		}
	}
	config.Host = cmp.Or(p.url, config.Host)
	if p.ca != "" {
		config.CAFile, config.CAData = p.ca, nil
	}
	if p.token != "" || p.certificate != "" {
		config.BearerToken, config.BearerTokenFile = "", p.token
		config.CertData, config.KeyData = nil, nil
	}
	if p.token == "" && p.certificate != "" {
		config.CertFile, config.KeyFile = p.certificate, p.key
	}
	if !strings.HasPrefix(config.Host, "https://") {
		return nil, fmt.Errorf("the peer is at %s: an https:// URL is needed, since nothing is measured without TLS", config.Host)
	}
	return config, nil
}
