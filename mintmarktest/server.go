package mintmarktest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/datadir"
	"github.com/mintmark/mintmark/internal/options"
)

// startTimeout bounds how long a start may take on a machine with much else to do.
const startTimeout = time.Minute

// Server is a server that runs until its test ends. Its methods end the test if they can't do what they say, so they are
// called from the test's goroutine; those of its clients and of its Clock from any.
type Server struct {
	// URL is where the server listens, on loopback. It is the issuer of its tokens, too.
	URL string
	// CA is the PEM of the authority of its serving certificate.
	CA []byte
	// Kubeconfig is the file of its administrator, for programs that read one.
	Kubeconfig string
	// Client is the administrator's clientset. It has no limit on its requests.
	Client kubernetes.Interface
	// Clock is the time of the server.
	Clock Clock

	t         testing.TB
	ctx       context.Context //nolint:containedctx // of the test; not every testing.TB has one
	admin     *rest.Config
	own       kubernetes.Interface // for what the methods do
	intercept *interceptor
}

// Clock runs by itself, and tests move it forward. Timers and tickers that it made end when it reaches their time.
//
// The machine's clock, and not this one, decides about certificates, and about tokens that the library of kube-apiserver checks:
// those of --authentication-config and --oidc-issuer-url, and those of TrustedIssuers with claimMappings or rules. It also measures how
// long verdicts of webhooks and answers of live checks are remembered, and when the keys of issuers are read.
type Clock interface {
	clock.WithTicker
	// Advance moves the clock forward, at once. What has ended by then is refused from the next request on. Controllers of the
	// server act a moment later.
	Advance(d time.Duration)
}

// Start runs a server until the test ends, and returns when it is ready. The flags are those of "mintmark serve --ephemeral",
// such as "--openshift-api" or "--service-account-min-token-expiration=1s".
func Start(t testing.TB, flags ...string) *Server {
	t.Helper()
	s, err := start(t, flags)
	if err != nil {
		t.Fatalf("the server does not start: %v", err)
	}
	return s
}

func start(t testing.TB, flags []string) (*Server, error) {
	cfg, err := configuration(flags)
	if err != nil {
		return nil, err
	}
	dir, remove, err := datadir.Temporary()
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() {
		if err := remove(); err != nil {
			t.Errorf("the data directory of the server was not removed: %v", err)
		}
	})
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(cancel)
	s := &Server{Clock: cfg.Clock, t: t, ctx: ctx, intercept: &interceptor{}}
	cfg.DataDir, cfg.Intercept = dir, s.intercept.handler
	if err := s.run(cfg); err != nil {
		return nil, err
	}
	if s.admin, err = clientcmd.BuildConfigFromFlags("", s.Kubeconfig); err != nil {
		return nil, err
	}
	s.admin.QPS = -1
	if s.Client, err = kubernetes.NewForConfig(s.admin); err != nil {
		return nil, err
	}
	own := s.AdminConfig()
	own.UserAgent = ownUserAgent
	s.own, err = kubernetes.NewForConfig(own)
	return s, err
}

// configuration reads the flags.
func configuration(flags []string) (apiserver.Config, error) {
	opts := options.New()
	set := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	groups := opts.Flags()
	for _, group := range groups.Order {
		set.AddFlagSet(groups.FlagSets[group])
	}
	if err := set.Parse(append([]string{"--ephemeral"}, flags...)); err != nil {
		return apiserver.Config{}, err
	}
	return opts.Config()
}

// run returns when the server is ready, and stops it when the test ends.
func (s *Server) run(cfg apiserver.Config) error {
	// A test's output is the test's.
	ctx, cancel := context.WithCancel(klog.NewContext(context.WithoutCancel(s.ctx), logr.Discard()))
	server, err := apiserver.New(ctx, cfg)
	if err != nil {
		cancel()
		return err
	}
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stop := sync.OnceValue(func() error {
		cancel()
		return <-done
	})
	s.t.Cleanup(func() {
		if err := stop(); err != nil {
			s.t.Errorf("the server did not stop cleanly: %v", err)
		}
	})
	s.URL, s.CA, s.Kubeconfig = server.URL(), server.RootCA(), server.Kubeconfig()
	select {
	case <-server.Ready():
		return nil
	case err := <-done:
		done <- err
		return errors.Join(errors.New("it ended before it was ready"), err)
	case <-time.After(startTimeout):
		return fmt.Errorf("it was not ready within %s", startTimeout)
	}
}

// AdminConfig returns the connection of the administrator, who may do everything.
func (s *Server) AdminConfig() *rest.Config { return rest.CopyConfig(s.admin) }

// UserConfig returns the connection of any user, who is in system:authenticated besides the groups, and may do what RBAC says.
// The administrator impersonates the user.
func (s *Server) UserConfig(user string, groups ...string) *rest.Config {
	config := s.AdminConfig()
	config.Impersonate = rest.ImpersonationConfig{UserName: user, Groups: groups}
	return config
}

// TokenConfig returns the connection of the holder of a token, or an anonymous one if the token is empty.
func (s *Server) TokenConfig(token string) *rest.Config {
	config := rest.AnonymousClientConfig(s.admin)
	config.BearerToken, config.QPS = token, -1
	return config
}
