package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/shell"
)

// maxKubeconfigBytes bounds how much of a kubeconfig at the default path is read.
const maxKubeconfigBytes = 1 << 20

// loadFound reads the kubeconfig at the default path. Another user, an archive or a repository may have put it into the
// working directory, to run a program or to receive a token. So the file must belong to the caller, other users must have
// no access to it, and it must hold no more than 'mintmark serve' writes: a server on this machine, and credentials in
// the file itself.
func loadFound(file string) (*clientcmdapi.Config, error) {
	data, err := readFound(file)
	if err != nil {
		return nil, refuseFound(file, err)
	}
	config, err := clientcmd.Load(data)
	if err != nil {
		return nil, fmt.Errorf("cannot read the kubeconfig %s: %w", file, err)
	}
	if err := checkFound(config); err != nil {
		return nil, refuseFound(file, err)
	}
	return config, nil
}

func refuseFound(file string, reason error) error {
	return fmt.Errorf("%s, found in the working directory, is not used: %w. If you trust it, name it: --kubeconfig %s", file, reason, shell.Quote(file))
}

// readFound reads the file if only the caller can have made it and the directories above it. The file and its directory
// are held open between check and read, and no link is followed, so the checked file is the one that is read.
func readFound(file string) ([]byte, error) {
	dir, name := filepath.Dir(file), filepath.Base(file)
	if err := checkParents(dir); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	named, err := os.Lstat(dir)
	if err != nil {
		return nil, err
	}
	if err := checkOwned(dir, named, 0o022); err != nil {
		return nil, err
	}
	if !named.IsDir() {
		return nil, fmt.Errorf("%s is a link or no directory", dir)
	}
	if opened, err := root.Stat("."); err != nil || !os.SameFile(named, opened) {
		return nil, fmt.Errorf("%s changed while it was read", dir)
	}
	info, err := root.Lstat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("it is a link or no plain file")
	}
	if err := checkOwned(file, info, 0o077); err != nil {
		return nil, err
	}
	opened, err := root.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	if now, err := opened.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, errors.New("it changed while it was read")
	}
	return io.ReadAll(io.LimitReader(opened, maxKubeconfigBytes))
}

// checkFound refuses a kubeconfig that could run a program, read another file or reach another machine. 'mintmark serve'
// writes none like that.
func checkFound(config *clientcmdapi.Config) error {
	for name, user := range config.AuthInfos {
		switch {
		case user.Exec != nil:
			return fmt.Errorf("its user %q has a program to run (exec)", name)
		case user.AuthProvider != nil:
			return fmt.Errorf("its user %q has a plug-in for credentials (auth-provider)", name)
		case user.TokenFile != "" || user.ClientCertificate != "" || user.ClientKey != "":
			return fmt.Errorf("the credentials of its user %q are in other files (tokenFile, client-certificate, client-key)", name)
		}
	}
	for name, cluster := range config.Clusters {
		switch {
		case cluster.ProxyURL != "":
			return fmt.Errorf("its cluster %q is behind a proxy (proxy-url)", name)
		case cluster.CertificateAuthority != "":
			return fmt.Errorf("the authority of its cluster %q is in another file (certificate-authority)", name)
		case cluster.InsecureSkipTLSVerify:
			return fmt.Errorf("its cluster %q takes any certificate (insecure-skip-tls-verify)", name)
		case cluster.Server != "" && !onThisMachine(cluster.Server):
			return fmt.Errorf("the server of its cluster %q is not on this machine", name)
		}
	}
	return nil
}

// onThisMachine reports whether a URL has the scheme https and an address of this machine. A server writes the kubeconfig
// into its data directory, so both are on one machine.
func onThisMachine(server string) bool {
	parsed, err := url.Parse(server)
	if err != nil || parsed.Scheme != "https" {
		return false
	}
	if parsed.Hostname() == "localhost" {
		return true
	}
	wanted, err := netip.ParseAddr(parsed.Hostname())
	if err != nil {
		return false
	}
	if wanted.IsLoopback() {
		return true
	}
	own, err := net.InterfaceAddrs()
	return err == nil && slices.ContainsFunc(own, func(a net.Addr) bool {
		prefix, err := netip.ParsePrefix(a.String())
		return err == nil && prefix.Addr() == wanted.Unmap()
	})
}
