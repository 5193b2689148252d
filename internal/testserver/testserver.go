// Package testserver runs the whole server in a test: the flags of "mintmark serve", an etcd of its own, a port of its
// own, in a temporary folder. Only tests import it.
package testserver

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/util/keyutil"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/options"
)

// startTimeout bounds how long a start may take on a machine with much else to do.
const startTimeout = time.Minute

// Server is a server that runs until its test ends.
type Server struct {
	// URL is where it listens.
	URL string
	// RootCAs is the PEM by which it is known.
	RootCAs []byte
	// DataDir is its data directory.
	DataDir string
	// Kubeconfig is the file of its administrator.
	Kubeconfig string
	// Ready is closed when it is ready.
	Ready <-chan struct{}

	t    testing.TB
	stop func() error
}

// Start runs a server with flags of "mintmark serve" and returns when it is ready. Unless the flags say otherwise it
// has a data directory and a port of its own, and with --etcd-servers the same encryption configuration as all others.
func Start(t testing.TB, args ...string) *Server {
	t.Helper()
	s, err := start(t, args)
	if err != nil {
		t.Fatal(err)
	}
	s.stopAfterTest()
	return s
}

// stopAfterTest stops the server when its test ends.
func (s *Server) stopAfterTest() {
	s.t.Cleanup(func() {
		if err := s.stop(); err != nil {
			s.t.Errorf("the server did not stop cleanly: %v", err)
		}
	})
}

func start(t testing.TB, args []string) (*Server, error) {
	cfg, err := Config(t, args...)
	if err != nil {
		return nil, err
	}
	return run(t, cfg)
}

// Config returns the configuration with which Start would run a server, or why it could not.
func Config(t testing.TB, args ...string) (apiserver.Config, error) {
	t.Helper()
	opts := options.New()
	flags := pflag.NewFlagSet("serve", pflag.ContinueOnError)
	groups := opts.Flags()
	for _, group := range groups.Order {
		flags.AddFlagSet(groups.FlagSets[group])
	}
	if err := flags.Parse(args); err != nil {
		return apiserver.Config{}, err
	}
	defaults := map[string]string{"data-dir": t.TempDir(), "secure-port": "0"}
	if flags.Changed("etcd-servers") {
		defaults["encryption-provider-config"] = encryptionConfiguration(t)
	}
	for name, value := range defaults {
		if !flags.Changed(name) {
			if err := flags.Set(name, value); err != nil {
				return apiserver.Config{}, err
			}
		}
	}
	cfg, err := opts.Config()
	// A test is not alone in its process, but for the one that floods the server.
	cfg.OwnProcess = flags.Changed("shed-load")
	return cfg, err
}

// encryptionConfiguration writes the encryption configuration of servers over an external etcd.
func encryptionConfiguration(t testing.TB) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "encryption.yaml")
	if err := os.WriteFile(file, []byte(encryption), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

const encryption = `apiVersion: apiserver.config.k8s.io/v1
kind: EncryptionConfiguration
resources:
- resources: [signingkeys.mintmark.io]
  providers:
  - secretbox: {keys: [{name: test, secret: YWxsIHRlc3Qgc2VydmVycyBoYXZlIHRoaXMga2V5ICE=}]}
`

// Launch runs a server as Start does, but returns when it listens, ready or not.
func Launch(t testing.TB, args ...string) *Server {
	t.Helper()
	cfg, err := Config(t, args...)
	if err != nil {
		t.Fatal(err)
	}
	s, _, err := launch(t, cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.stopAfterTest()
	return s
}

func run(t testing.TB, cfg apiserver.Config) (*Server, error) {
	s, done, err := launch(t, cfg)
	if err != nil {
		return nil, err
	}
	select {
	case <-s.Ready:
		return s, nil
	case <-done:
		return nil, errors.Join(errors.New("the server ended before it was ready"), s.stop())
	case <-time.After(startTimeout):
		return nil, errors.Join(fmt.Errorf("the server was not ready within %s", startTimeout), s.stop())
	}
}

// launch returns a server that listens, and a channel that is closed when it has stopped.
func launch(t testing.TB, cfg apiserver.Config) (*Server, <-chan struct{}, error) {
	ctx, cancel := context.WithCancel(context.Background())
	server, err := apiserver.New(ctx, cfg)
	if err != nil {
		cancel()
		return nil, nil, err
	}
	var failure error
	done := make(chan struct{})
	go func() {
		defer close(done)
		failure = server.Run(ctx)
	}()
	return &Server{
		URL:        server.URL(),
		RootCAs:    server.RootCA(),
		DataDir:    cfg.DataDir,
		Kubeconfig: server.Kubeconfig(),
		Ready:      server.Ready(),
		t:          t,
		stop: sync.OnceValue(func() error {
			cancel()
			<-done
			return failure
		}),
	}, done, nil
}

// WriteSigningKey writes a new key into a file, for --service-account-signing-key-file.
func WriteSigningKey(t testing.TB, file string) {
	t.Helper()
	key, err := keyutil.MakeEllipticPrivateKeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, key, 0o600); err != nil {
		t.Fatal(err)
	}
}

// Stop stops the server before its test ends, as a signal does, and returns when it has stopped.
func (s *Server) Stop() error { return s.stop() }

// AdminConfig returns the connection of the administrator.
func (s *Server) AdminConfig() *rest.Config {
	s.t.Helper()
	config, err := clientcmd.BuildConfigFromFlags("", s.Kubeconfig)
	if err != nil {
		s.t.Fatal(err)
	}
	config.QPS = -1
	return config
}

// Admin returns the client of the administrator.
func (s *Server) Admin() kubernetes.Interface { return s.client(s.AdminConfig()) }

// As returns the client of the holder of a token, or an anonymous client if the token is empty.
func (s *Server) As(token string) kubernetes.Interface { return s.client(s.TokenConfig(token)) }

// TokenConfig returns the connection of the holder of a token, or an anonymous one if the token is empty.
func (s *Server) TokenConfig(token string) *rest.Config {
	config := rest.AnonymousClientConfig(s.AdminConfig())
	config.BearerToken = token
	return config
}

func (s *Server) client(config *rest.Config) kubernetes.Interface {
	s.t.Helper()
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		s.t.Fatal(err)
	}
	return client
}
