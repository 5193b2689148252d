package main

import (
	"fmt"
	"math"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
)

const (
	// minCertificate is the shortest life of a certificate that the API takes.
	minCertificate    = 10 * time.Minute
	defaultCredential = 24 * time.Hour
)

func newKubeconfigCommand(s streams) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "kubeconfig",
		Short: "Create kubeconfigs for people and programs",
		Args:  subcommandArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newKubeconfigCreateCommand(s))
	return cmd
}

type kubeconfigCreate struct {
	connectionFlags
	groups    []string
	duration  time.Duration
	account   string
	exec      bool
	forServer string
	file      string
	overwrite bool
}

func newKubeconfigCreateCommand(s streams) *cobra.Command {
	c := &kubeconfigCreate{}
	cmd := &cobra.Command{
		Use:   "create NAME | --service-account NAMESPACE/NAME",
		Short: "Create a kubeconfig for a user or a service account",
		Long: `Create a kubeconfig, readable by its owner alone, for this server and a user of this name.

The user gets a client certificate with NAME and the groups in it: a key is made here, and a
CertificateSigningRequest is sent, approved if you may approve it, and signed by the server. If
somebody else has to approve it, the command says what they type; run it again afterwards, and it
goes on. Until then the key is in FILE.pending. The group system:masters is not to be had.

With --service-account the kubeconfig has a token of the account in it, which is not renewed. With
--exec it has none: clients run 'mintmark token create' for one when they need it, with the
credentials that this command is called with.`,
		Example: `  # For a person, for a day
  mintmark kubeconfig create ada --group developers

  # For a program that a kubeconfig is given to, such as kube-apiserver's token webhook
  mintmark kubeconfig create kube-apiserver --duration 8760h \
    --for-server https://tokens.example.com:7443/authenticate -o webhook.kubeconfig

  # For a service account: clients fetch tokens themselves
  mintmark kubeconfig create --service-account default/app --exec -o app.kubeconfig`,
		Args: func(cmd *cobra.Command, args []string) error {
			if c.account == "" && len(args) == 1 && args[0] != "" || c.account != "" && len(args) == 0 {
				return nil
			}
			return usageErrorf(cmd, "name one user, or a service account with --service-account NAMESPACE/NAME")
		},
		ValidArgsFunction: cobra.NoFileCompletions,
		RunE:              func(cmd *cobra.Command, args []string) error { return c.run(cmd, s, args) },
	}
	flags := cmd.Flags()
	flags.StringArrayVar(&c.groups, "group", nil, "Group of the user; may be repeated")
	flags.DurationVar(&c.duration, "duration", defaultCredential, "Lifetime of the certificate or token to ask for, e.g. 8h; the server may give a shorter one")
	flags.StringVar(&c.account, "service-account", "", "NAMESPACE/NAME of a service account to create the kubeconfig for")
	flags.BoolVar(&c.exec, "exec", false, "Have clients run 'mintmark token create' for tokens of the service account, instead of writing one")
	flags.StringVar(&c.forServer, "for-server", "", "URL of the server in the new kubeconfig, with a path if need be (default: the one that is asked)")
	flags.StringVarP(&c.file, "output", "o", "", "File to write (default: NAME.kubeconfig in the working directory)")
	flags.BoolVar(&c.overwrite, "overwrite", false, "Replace the file if it exists and is yours")
	for _, name := range []string{"group", "duration", "service-account", "for-server"} {
		completeFlag(cmd, name)
	}
	c.addTo(cmd)
	return cmd
}

func (c *kubeconfigCreate) run(cmd *cobra.Command, s streams, args []string) error {
	if err := c.validate(cmd); err != nil {
		return err
	}
	name := strings.Join(args, "")
	namespace, account, isAccount := strings.Cut(c.account, "/")
	if isAccount {
		name = account
	}
	file, err := c.output(cmd, name)
	if err != nil {
		return err
	}
	dir, err := openPrivateDir(filepath.Dir(file), " with -o")
	if err != nil {
		return err
	}
	defer dir.close()
	if err := dir.free(filepath.Base(file), c.overwrite); err != nil {
		return err
	}
	server, err := c.open(cmd, s.err)
	if err != nil {
		return err
	}
	made := &newKubeconfig{server: server, address: c.forServer, dir: dir, file: filepath.Base(file), overwrite: c.overwrite}
	if isAccount {
		return c.forAccount(cmd, s, made, namespace, account)
	}
	return c.forUser(cmd, s, made, name)
}

// validate refuses what makes no sense before anything is sent.
func (c *kubeconfigCreate) validate(cmd *cobra.Command) error {
	namespace, account, ok := strings.Cut(c.account, "/")
	switch {
	case c.account != "" && (!ok || namespace == "" || account == "" || strings.Contains(account, "/")):
		return usageErrorf(cmd, "--service-account must be NAMESPACE/NAME")
	case c.account != "" && len(c.groups) > 0:
		return usageErrorf(cmd, "--group is for users: the groups of a service account follow from its namespace")
	case c.exec && c.account == "":
		return usageErrorf(cmd, "--exec is for service accounts: name one with --service-account")
	case c.exec && c.bearerFile == "-":
		return usageErrorf(cmd, "with --exec the token to call with is needed again: name a file with --%s", flagBearerTokenFile)
	case slices.Contains(c.groups, ""):
		return usageErrorf(cmd, "--group must not be empty")
	case slices.Contains(c.groups, user.SystemPrivilegedGroup):
		return usageErrorf(cmd, "no certificate is signed for the group %s: bind a role such as cluster-admin to another group", user.SystemPrivilegedGroup)
	case c.duration%time.Second != 0 || c.duration < minCertificate:
		return usageErrorf(cmd, "--duration must be in whole seconds, and at least %s", minCertificate)
	case c.duration/time.Second > math.MaxInt32:
		return usageErrorf(cmd, "--duration must be at most 68 years")
	}
	if c.forServer == "" {
		return nil
	}
	if address, err := url.Parse(c.forServer); err != nil || address.Scheme != "https" || address.Host == "" {
		return usageErrorf(cmd, "--for-server must be a URL such as https://tokens.example.com:7443")
	}
	return nil
}

// fileName is a user's name that can be a part of a file's.
var fileName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]*$`)

// output is the file to write.
func (c *kubeconfigCreate) output(cmd *cobra.Command, name string) (string, error) {
	switch {
	case slices.Contains([]string{"-", "json", "yaml"}, c.file):
		return "", usageErrorf(cmd, "-o names the file to write: if it is to be called %s, write ./%s", c.file, c.file)
	case c.file != "" && (strings.HasSuffix(c.file, string(filepath.Separator)) || filepath.Base(c.file) == "." || filepath.Base(c.file) == ".."):
		return "", usageErrorf(cmd, "-o names the file to write, and not a directory")
	case c.file != "":
		return c.file, nil
	case fileName.MatchString(name):
		return name + ".kubeconfig", nil
	}
	return "", usageErrorf(cmd, "name the file to write with -o: that of the user makes no file's name")
}

// newKubeconfig is a kubeconfig to be written.
type newKubeconfig struct {
	server    *connection
	address   string // of the server for the kubeconfig's owner; empty for that of the connection
	dir       *privateDir
	file      string
	overwrite bool
}

func (k *newKubeconfig) path() string { return k.dir.path(k.file) }

// write writes it for a user with credentials.
func (k *newKubeconfig) write(name, namespace string, credentials *clientcmdapi.AuthInfo) error {
	cluster, err := k.server.cluster(k.address)
	if err != nil {
		return err
	}
	address, err := url.Parse(cluster.Server)
	if err != nil {
		return err
	}
	context := name + "@" + address.Host
	config := clientcmdapi.NewConfig()
	config.Clusters[address.Host] = cluster
	config.AuthInfos[name] = credentials
	config.Contexts[context] = &clientcmdapi.Context{Cluster: address.Host, AuthInfo: name, Namespace: namespace}
	config.CurrentContext = context
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return k.dir.write(k.file, data, k.overwrite)
}

// cluster describes the server to another kubeconfig, which stands for itself: the authority is in it.
func (c *connection) cluster(address string) (*clientcmdapi.Cluster, error) {
	cluster := clientcmdapi.NewCluster()
	cluster.Server, cluster.TLSServerName, cluster.InsecureSkipTLSVerify = address, c.config.ServerName, c.config.Insecure
	if address == "" {
		own, _, err := rest.DefaultServerUrlFor(c.config)
		if err != nil {
			return nil, err
		}
		cluster.Server = strings.TrimSuffix(own.String(), "/")
	} else {
		cluster.TLSServerName = "" // it goes with the other address
	}
	cluster.CertificateAuthorityData = c.config.CAData
	if c.config.CAFile != "" && len(c.config.CAData) == 0 {
		authority, err := os.ReadFile(c.config.CAFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the certificate authority: %w", err)
		}
		cluster.CertificateAuthorityData = authority
	}
	return cluster, nil
}
