// Package externaljwt serves the gRPC service ExternalJWTSigner (KEP-740), v1 and v1alpha1, on a Unix socket. A
// kube-apiserver on the same machine with --service-account-signing-endpoint has its service account tokens signed there, and
// learns there with which keys they are verified.
//
// The processes of root and of the server's own user may connect, and those of further users that are named. Each signature
// is recorded in the audit log before it is returned.
package externaljwt

import (
	"context"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/apimachinery/pkg/util/sets"
	"k8s.io/apiserver/pkg/audit"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	externaljwtv1alpha1 "k8s.io/externaljwt/apis/v1alpha1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/crash"
	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

// Keys are the keys that sign and verify. They must be safe for concurrent use.
type Keys interface {
	// SignJWT returns the token that carries the claims, with "typ": "JWT" in its header, and its key id. Without a signer
	// for the algorithm the default signs. An error with a method Unavailable says that trying again may help.
	SignJWT(ctx context.Context, algorithm string, claims []byte, end time.Time) (token, keyID string, err error)
	// Trusted returns the keys whose tokens are accepted.
	Trusted() (signingkey.Trusted, error)
}

// Config says where the service listens, for which processes, and what it signs with.
type Config struct {
	Address unixsocket.Address
	// Mode is that of the socket's file.
	Mode fs.FileMode
	// AllowedUIDs may use the service besides root and the user of this process.
	AllowedUIDs []int
	// MaxExpiration is the longest life of a token.
	MaxExpiration time.Duration
	// Algorithm returns the algorithm for a token's audiences, or nothing for the default one.
	Algorithm func(audiences []string) string
	Keys      Keys
	// Audit records the signatures; nil records nothing.
	Audit audit.Sink
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// Server is the service on its socket. Until Run is called, connections wait.
type Server struct {
	externaljwtv1.UnimplementedExternalJWTSignerServer
	Config
	listener net.Listener
	grpc     *grpc.Server
	allowed  sets.Set[int]
	metrics  *metrics
	close    sync.Once
}

const (
	// connectTimeout is how long a peer may take to begin with gRPC.
	connectTimeout = 10 * time.Second
	// maxStreams is how many calls of one connection are served at the same time.
	maxStreams = 256
	// stopTimeout is how long the last calls may take when the server stops.
	stopTimeout = 5 * time.Second
)

// Listen takes the socket.
func Listen(ctx context.Context, cfg Config) (*Server, error) {
	listener, err := unixsocket.Listen(ctx, cfg.Address, cfg.Mode)
	if err != nil {
		return nil, fmt.Errorf("--external-jwt-signer-listen: %w", err)
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	s := &Server{Config: cfg, listener: listener, allowed: sets.New(cfg.AllowedUIDs...).Insert(0, os.Geteuid()), metrics: registered()}
	s.grpc = grpc.NewServer(grpc.Creds(peers{}), grpc.ConnectionTimeout(connectTimeout), grpc.MaxConcurrentStreams(maxStreams), grpc.UnaryInterceptor(s.serve))
	// The messages of v1alpha1 are those of v1, byte by byte.
	alpha := externaljwtv1.ExternalJWTSigner_ServiceDesc
	alpha.ServiceName = externaljwtv1alpha1.ExternalJWTSigner_ServiceDesc.ServiceName
	for _, service := range []*grpc.ServiceDesc{&externaljwtv1.ExternalJWTSigner_ServiceDesc, &alpha} {
		s.grpc.RegisterService(service, s)
	}
	return s, nil
}

// Run serves until the context ends.
func (s *Server) Run(ctx context.Context) {
	defer s.Close()
	defer context.AfterFunc(ctx, s.Stop)()
	klog.FromContext(ctx).Info("Signing for other servers on this machine", "socket", s.Address.String())
	if err := s.grpc.Serve(s.listener); err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The external signer stopped", "socket", s.Address.String())
	}
}

// Stop ends the service when the calls in flight are answered.
func (s *Server) Stop() {
	timer := time.AfterFunc(stopTimeout, s.grpc.Stop)
	defer timer.Stop()
	s.grpc.GracefulStop()
}

// Close gives the socket back.
func (s *Server) Close() {
	s.close.Do(func() {
		s.grpc.Stop()
		_ = s.listener.Close()
	})
}

// serve is around every call: the peer is checked, a panic ends the call only, and the call is counted.
func (s *Server) serve(ctx context.Context, request any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (response any, err error) {
	err = crash.Guard(func() error {
		if err := s.allow(ctx); err != nil {
			return err
		}
		var err error
		response, err = handler(ctx, request)
		return err
	})
	if panicked, ok := err.(crash.Value); ok { //nolint:errorlint // Guard returns it as it is
		panicked.Log(ctx, "A call of the external signer panicked")
		err = status.Error(codes.Internal, "internal error")
	}
	s.metrics.count(info.FullMethod, err)
	if err != nil {
		return nil, err
	}
	return response, nil
}

// allow refuses peers of other users.
func (s *Server) allow(ctx context.Context) error {
	uid, known := peerOf(ctx)
	if !known || s.allowed.Has(uid) {
		return nil
	}
	err := status.Errorf(codes.PermissionDenied, "processes of uid %d may not use this signer: add it with --external-jwt-signer-allowed-uids", uid)
	s.record(ctx, event{received: s.Now(), err: err})
	return err
}
