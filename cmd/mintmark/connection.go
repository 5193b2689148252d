package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"github.com/mintmark/mintmark/internal/options"
)

const (
	// requestTimeout bounds a request with all its retries. It is the context's and not the
	// client's: client-go would put the latter into the query, and a server has to treat a
	// request with a query as an unusual one.
	requestTimeout = 30 * time.Second

	defaultDataDir = options.DefaultDataDir
	kubeconfigEnv  = "KUBECONFIG"
)

// connectionFlags say which server to talk to, and as whom: those of kubectl's flags that
// help here. There is no --token: beside a token to review it would be mistaken for it, and
// other users of the machine could read it from the list of processes. --bearer-token-file has one
// read from a file.
type connectionFlags struct {
	kubeconfig string
	dataDir    string
	dataDirSet func() bool
	bearerFile string
	overrides  clientcmd.ConfigOverrides
	// question is that of the client whose exec plugin the command is; nil if it is none.
	question *execQuestion
}

func (f *connectionFlags) addTo(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.kubeconfig, clientcmd.RecommendedConfigPathFlag, "", "Path to the kubeconfig file to use (default: $KUBECONFIG, else admin.kubeconfig in the data directory)")
	flags.StringVar(&f.dataDir, "data-dir", defaultDataDir, "Data directory of 'mintmark serve'; when given, its admin.kubeconfig is used even if $KUBECONFIG is set, and as it is. The default one must belong to the caller alone")
	flags.StringVar(&f.overrides.CurrentContext, clientcmd.FlagContext, "", "Name of the kubeconfig context to use")
	flags.StringVarP(&f.overrides.ClusterInfo.Server, clientcmd.FlagAPIServer, "s", "", "URL of the server, instead of the kubeconfig's")
	flags.StringVar(&f.overrides.ClusterInfo.CertificateAuthority, clientcmd.FlagCAFile, "", "File with the certificate authority of the server, such as its ca.crt, instead of the kubeconfig's")
	flags.StringVar(&f.bearerFile, flagBearerTokenFile, "", "File with a token to call the server with, or - for standard input, instead of the kubeconfig's credentials. With --server no kubeconfig is needed, nor looked for")
	flags.StringVar(&f.overrides.AuthInfo.Impersonate, clientcmd.FlagImpersonate, "", "User to impersonate, e.g. system:serviceaccount:default:app")
	flags.StringArrayVar(&f.overrides.AuthInfo.ImpersonateGroups, clientcmd.FlagImpersonateGroup, nil, "Group to impersonate; may be repeated. Requires --as")
	f.dataDirSet = func() bool { return flags.Changed("data-dir") }
	completeFlag(cmd, clientcmd.FlagContext)
	completeFlag(cmd, clientcmd.FlagAPIServer)
	completeFlag(cmd, clientcmd.FlagImpersonate)
	completeFlag(cmd, clientcmd.FlagImpersonateGroup)
	_ = cmd.MarkFlagDirname("data-dir")
	_ = cmd.MarkFlagFilename(clientcmd.FlagCAFile, "crt", "pem")
	_ = cmd.MarkFlagFilename(flagBearerTokenFile)
}

// requestContext bounds a request of a command with all its retries.
func requestContext(cmd *cobra.Command) (context.Context, context.CancelFunc) {
	return context.WithTimeout(cmd.Context(), requestTimeout)
}

// connection is a server that was found, and how to speak of it to a person.
type connection struct {
	config    *rest.Config
	namespace string       // the one given, else the context's, else "default"
	source    string       // the kubeconfig file, or files
	bearer    *bearerToken // what is called with instead of the kubeconfig's credentials; or nil
	files     []string     // the kubeconfig files, and the context of them that is used
	context   string
}

// open finds the server. Warnings that it sends with its answers go to warnings.
func (f *connectionFlags) open(cmd *cobra.Command, warnings io.Writer) (*connection, error) {
	if f.kubeconfig != "" && f.dataDirSet() {
		return nil, usageErrorf(cmd, "--kubeconfig and --data-dir both name a kubeconfig: leave one of them out")
	}
	if len(f.overrides.AuthInfo.ImpersonateGroups) > 0 && f.overrides.AuthInfo.Impersonate == "" {
		return nil, usageErrorf(cmd, "--as-group needs a user: name one with --as")
	}
	if ca := f.overrides.ClusterInfo.CertificateAuthority; ca != "" && missing(ca) {
		return nil, fmt.Errorf("there is no file %s, named with --%s", ca, clientcmd.FlagCAFile)
	}
	bearer, err := f.bearer(cmd)
	if err != nil {
		return nil, err
	}
	loaded, rules, err := f.load(bearer != nil)
	if err != nil {
		return nil, err
	}
	source := f.sourceOf(rules)
	// Not the deferred loader that kubectl uses: in a pod, that one would quietly take the
	// cluster around it for an unusable file.
	client := clientcmd.NewNonInteractiveClientConfig(*loaded, "", &f.overrides, rules)
	config, err := client.ClientConfig()
	if err != nil {
		if clientcmd.IsEmptyConfig(err) {
			return nil, fmt.Errorf("the kubeconfig %s names no server: choose another with --kubeconfig, or one of its contexts with --context", source)
		}
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", source, err)
	}
	namespace, _, err := client.Namespace()
	if err != nil {
		return nil, fmt.Errorf("cannot use the kubeconfig %s: %w", source, err)
	}
	if bearer != nil {
		if config, err = useBearer(config, bearer); err != nil {
			return nil, err
		}
	}
	config.UserAgent = userAgent()
	config.WarningHandler = rest.NewWarningWriter(warnings, rest.WarningWriterOptions{Deduplicate: true})
	return &connection{
		config: config, namespace: namespace, source: source, bearer: bearer,
		files: rules.Precedence, context: f.contextOf(loaded),
	}, nil
}

// sourceOf says where the server is from.
func (f *connectionFlags) sourceOf(rules *clientcmd.ClientConfigLoadingRules) string {
	switch {
	case len(rules.Precedence) > 0:
		return strings.Join(rules.Precedence, ", ")
	case f.overrides.ClusterInfo.Server != "":
		return "--" + clientcmd.FlagAPIServer
	}
	return "$" + execInfoEnv
}

// load reads the kubeconfig, and returns from which files. With a token to call with, --server is enough, or the cluster of
// the client whose exec plugin this is: no kubeconfig is looked for then, and of one that is named the credentials are left
// out.
func (f *connectionFlags) load(withToken bool) (*clientcmdapi.Config, *clientcmd.ClientConfigLoadingRules, error) {
	rules := &clientcmd.ClientConfigLoadingRules{}
	if withToken && f.kubeconfig == "" && !f.dataDirSet() && f.overrides.CurrentContext == "" {
		loaded := clientcmdapi.NewConfig()
		if f.overrides.ClusterInfo.Server != "" {
			return loaded, rules, nil
		}
		if f.question != nil && f.question.cluster != nil {
			const name = "asked"
			loaded.Clusters[name], loaded.Contexts[name], loaded.CurrentContext = f.question.cluster, &clientcmdapi.Context{Cluster: name}, name
			return loaded, rules, nil
		}
	}
	files, given, err := f.files()
	if err != nil {
		return nil, nil, err
	}
	rules.Precedence = files
	var loaded *clientcmdapi.Config
	if given {
		if loaded, err = rules.Load(); err != nil {
			return nil, nil, fmt.Errorf("cannot read the kubeconfig: %w", err)
		}
	} else if loaded, err = loadFound(files[0]); err != nil {
		return nil, nil, err
	}
	if withToken {
		for name := range loaded.AuthInfos {
			loaded.AuthInfos[name] = clientcmdapi.NewAuthInfo()
		}
	}
	if f.question != nil {
		return loaded, rules, noCircle(loaded, f.sourceOf(rules))
	}
	return loaded, rules, nil
}

// userAgent is the program's name for servers.
func userAgent() string {
	info, _ := debug.ReadBuildInfo()
	return "mintmark/" + versionFrom(info).Version
}

// files returns the kubeconfig files to read, the first having precedence: the one named on the command line, else
// $KUBECONFIG, else the one in the data directory. They are given unless that directory is the default one.
func (f *connectionFlags) files() (files []string, given bool, err error) {
	if f.kubeconfig != "" {
		if _, err := os.Stat(f.kubeconfig); err != nil {
			return nil, true, fmt.Errorf("cannot read the file named with --kubeconfig: %w", err)
		}
		return []string{f.kubeconfig}, true, nil
	}
	if env := os.Getenv(kubeconfigEnv); env != "" && !f.dataDirSet() {
		// Like kubectl, live with some of the files missing; not with all.
		files := slices.DeleteFunc(filepath.SplitList(env), missing)
		if len(files) == 0 {
			return nil, true, fmt.Errorf("no kubeconfig found: $%s is set to %q, where there is none; name one with --kubeconfig, or unset it to use the data directory's", kubeconfigEnv, env)
		}
		return files, true, nil
	}
	file := filepath.Join(f.dataDir, "admin.kubeconfig")
	if missing(file) {
		return nil, true, fmt.Errorf("no kubeconfig found (looked for %s): start a server with 'mintmark serve', or name one with --kubeconfig", file)
	}
	return []string{file}, f.dataDirSet(), nil
}

func missing(file string) bool {
	_, err := os.Stat(file)
	return file == "" || errors.Is(err, os.ErrNotExist)
}

// explain turns the error of a request made under ctx into one that says what to do.
func (c *connection) explain(ctx context.Context, err error) error {
	// The client names the method and the whole URL; the server is enough.
	cause, reached := err, true
	if request := (*url.Error)(nil); errors.As(err, &request) {
		cause, reached = request.Err, false
	}
	switch {
	case errors.Is(ctx.Err(), context.Canceled):
		return errors.New("interrupted")
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("the server %s (from %s) did not answer within %s", c.config.Host, c.source, requestTimeout)
	case utilnet.IsConnectionRefused(err):
		return fmt.Errorf("nothing listens at %s (from %s): start a server with 'mintmark serve', or name another with --kubeconfig or --server", c.config.Host, c.source)
	case isUnknownAuthority(err) && c.bearer != nil:
		return fmt.Errorf("the certificate of %s is not from a known authority (%w): name the ca.crt of the server's data directory with --%s", c.config.Host, cause, clientcmd.FlagCAFile)
	case isUnknownAuthority(err):
		return fmt.Errorf("the certificate of %s is not from the authority in %s (%w): use the admin.kubeconfig that this server wrote into its data directory", c.config.Host, c.source, cause)
	case apierrors.IsUnauthorized(err) && c.bearer != nil:
		return fmt.Errorf("the server %s does not accept your token (from %s): %w%s", c.config.Host, c.bearer.source, err, c.bearer.refused(time.Now()))
	case apierrors.IsForbidden(err) && c.bearer != nil:
		return fmt.Errorf("the server %s accepts your token (from %s), but you may not do this: %w. Have an administrator grant it to that user", c.config.Host, c.bearer.source, err)
	case apierrors.IsUnauthorized(err):
		return fmt.Errorf("the server %s does not accept the credentials in %s: %w", c.config.Host, c.source, err)
	case isStatus(err) && !apierrors.IsUnexpectedServerError(err):
		return err // the server's own words
	case reached:
		return fmt.Errorf("the server %s (from %s) does not answer as a Kubernetes API does: %w", c.config.Host, c.source, err)
	default:
		return fmt.Errorf("cannot reach the server %s (from %s): %w", c.config.Host, c.source, cause)
	}
}

func isStatus(err error) bool {
	status := apierrors.APIStatus(nil)
	return errors.As(err, &status)
}

func isUnknownAuthority(err error) bool {
	unknown := x509.UnknownAuthorityError{}
	return errors.As(err, &unknown)
}
