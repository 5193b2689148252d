package livecheck

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/url"
	"strings"

	clientcmdv1 "k8s.io/client-go/tools/clientcmd/api/v1"
	"sigs.k8s.io/yaml"

	"github.com/mintmark/mintmark/internal/outbound"
)

const (
	// kubeconfigKey is the key of the secret.
	kubeconfigKey = "kubeconfig"
	// maxKubeconfig is the longest kubeconfig that is read.
	maxKubeconfig = 256 << 10
	// reviewPath is where a cluster reviews tokens.
	reviewPath = "/apis/authentication.k8s.io/v1/tokenreviews"
)

// connection is how a cluster is reached, and as whom.
type connection struct {
	url   string
	token string // empty with a client certificate alone
	outbound.ObjectClient
}

// minify is the command that makes a kubeconfig as it is wanted.
const minify = "kubectl config view --minify --flatten --context NAME"

// readKubeconfig reads a kubeconfig that holds all that it needs: one server, its authority and one credential. No file is read and
// no command run, whatever it says; neither the environment nor another kubeconfig adds to it. The errors say what to do and have
// nothing of its content in them but names of fields.
func readKubeconfig(text []byte) (*connection, error) {
	if len(text) > maxKubeconfig {
		return nil, fmt.Errorf("it has %d bytes, and at most %d are read: keep one context alone (%s)", len(text), maxKubeconfig, minify)
	}
	var config clientcmdv1.Config
	// The errors of the library quote the text.
	if yaml.Unmarshal(text, &config) != nil || config.Kind != "Config" || config.APIVersion != "v1" {
		return nil, errors.New("it is no kubeconfig: write YAML or JSON with kind: Config and apiVersion: v1")
	}
	if yaml.UnmarshalStrict(text, &clientcmdv1.Config{}) != nil {
		return nil, errors.New("it has a field that kubeconfigs don't have, or a field twice: write it with " + minify)
	}
	cluster, user, err := only(&config)
	if err != nil {
		return nil, err
	}
	if err := refused(cluster, user); err != nil {
		return nil, err
	}
	at, err := reviewURL(cluster.Server)
	if err != nil {
		return nil, err
	}
	c := &connection{url: at, token: user.Token, ObjectClient: outbound.ObjectClient{
		Authorities: string(cluster.CertificateAuthorityData), ServerName: cluster.TLSServerName,
	}}
	if len(user.ClientCertificateData) > 0 {
		pair, err := tls.X509KeyPair(user.ClientCertificateData, user.ClientKeyData)
		if err != nil {
			return nil, errors.New("client-certificate-data and client-key-data are no pair of a certificate and its key in PEM")
		}
		c.Certificate = &pair
	}
	return c, nil
}

// only returns the one cluster and the one user of a kubeconfig.
func only(config *clientcmdv1.Config) (*clientcmdv1.Cluster, *clientcmdv1.AuthInfo, error) {
	if len(config.Contexts) != 1 || len(config.Clusters) != 1 || len(config.AuthInfos) != 1 {
		return nil, nil, fmt.Errorf("it has %d contexts, %d clusters and %d users, and one of each is wanted: keep those that are meant (%s)",
			len(config.Contexts), len(config.Clusters), len(config.AuthInfos), minify)
	}
	context := config.Contexts[0]
	switch {
	case config.CurrentContext != "" && config.CurrentContext != context.Name:
		return nil, nil, errors.New("its current-context is not the name of its context: name that one")
	case context.Context.Cluster != config.Clusters[0].Name || context.Context.AuthInfo != config.AuthInfos[0].Name:
		return nil, nil, errors.New("its context names another cluster or another user than the ones that it has: name these")
	}
	return &config.Clusters[0].Cluster, &config.AuthInfos[0].AuthInfo, nil
}

// refused returns an error for what a stored object may not have a server do.
func refused(cluster *clientcmdv1.Cluster, user *clientcmdv1.AuthInfo) error {
	const file = "it has %s, and no file is read for a stored object: put the content into %s"
	for _, field := range []struct {
		used bool
		err  error
	}{
		{user.Exec != nil, errors.New("it has exec, and no command is run for a stored object: put a token, or a client certificate with its key, into it")},
		{user.AuthProvider != nil, errors.New("it has auth-provider, which is not supported: put a token, or a client certificate with its key, into it")},
		{cluster.CertificateAuthority != "", fmt.Errorf(file, "certificate-authority", "certificate-authority-data")},
		{user.ClientCertificate != "", fmt.Errorf(file, "client-certificate", "client-certificate-data")},
		{user.ClientKey != "", fmt.Errorf(file, "client-key", "client-key-data")},
		{user.TokenFile != "", fmt.Errorf(file, "tokenFile", "token")},
		{cluster.ProxyURL != "", errors.New("it has proxy-url, and calls for a stored object use no proxy: leave it out")},
		{cluster.InsecureSkipTLSVerify, errors.New("it has insecure-skip-tls-verify, so anybody on the way could answer for the cluster: put its authority into certificate-authority-data")},
		{user.Username != "" || user.Password != "", errors.New("it has username or password, which Kubernetes does not know: put a token, or a client certificate with its key, into it")},
		{
			user.Impersonate != "" || user.ImpersonateUID != "" || len(user.ImpersonateGroups) > 0 || len(user.ImpersonateUserExtra) > 0,
			errors.New("it has as, as-uid, as-groups or as-user-extra: give it the credential of the user that is meant"),
		},
		{user.Token == "" && len(user.ClientCertificateData) == 0, errors.New("it has no credential: put a token, or a client certificate with its key, into it")},
		{
			strings.ContainsFunc(user.Token, func(r rune) bool { return r <= ' ' || r > '~' }),
			errors.New("its token has a blank, or a character that tokens don't have: write the token alone"),
		},
	} {
		if field.used {
			return field.err
		}
	}
	return nil
}

// reviewURL returns the URL of token reviews at a server.
func reviewURL(server string) (string, error) {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Scheme != "https" || parsed.Hostname() == "" || parsed.User != nil || parsed.RawQuery != "" || parsed.Fragment != "" {
		return "", errors.New("its server is no https URL of a host, with a port and a path or without: write it as https://cluster.example:6443")
	}
	return strings.TrimSuffix(parsed.String(), "/") + reviewPath, nil
}
