// Package externalsigner has service account tokens signed by another process on the same machine (KEP-740): the flag
// --service-account-signing-endpoint. It calls the gRPC service ExternalJWTSigner on a Unix socket, as kube-apiserver does.
//
// A Signer is the source of all keys: the external signer says which keys verify and which of them are published. Every
// signature is verified before the token is used.
package externalsigner

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	"k8s.io/klog/v2"

	"github.com/mintmark/mintmark/internal/signingkey"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

const (
	// fetchTimeout, metadataTimeout and signTimeout bound the calls. The first two are kube-apiserver's. It gives Sign as long
	// as the request has, which is 34 seconds. Here a call that fails is made twice: by the fast path and by the generic chain.
	fetchTimeout    = time.Minute
	metadataTimeout = 10 * time.Second
	signTimeout     = 10 * time.Second
	// returnTimeout is longer than the time between two attempts to connect.
	returnTimeout = 1500 * time.Millisecond
	// minLife is the shortest longest life of a token with which a server starts.
	minLife = 10 * time.Minute
	// maxLife is where durations end, in seconds.
	maxLife = int64((1<<63 - 1) / time.Second)
)

// Signer is a connection to an external signer and what it last said about its keys. It is safe for concurrent use.
type Signer struct {
	connection *grpc.ClientConn
	client     externaljwtv1.ExternalJWTSignerClient
	metrics    *metrics
	now        func() time.Time
	life       time.Duration

	// gone is set when a call has waited in vain for a connection. Until there is one, the next calls wait for a moment only.
	gone    atomic.Bool
	keys    atomic.Pointer[keys]
	changed atomic.Pointer[func()]
	// fetches are started one at a time.
	mu      sync.Mutex
	waiting *fetch // the next one; nil if nothing asks for it
	running bool
	last    time.Time // when the last one began
}

var (
	_ signingkey.Source      = (*Signer)(nil)
	_ signingkey.TokenSigner = (*Signer)(nil)
)

// Connect waits for the external signer, reads its keys and the longest life of a token. A nil clock means time.Now.
func Connect(ctx context.Context, address unixsocket.Address, now func() time.Time) (*Signer, error) {
	if now == nil {
		now = time.Now
	}
	s := &Signer{metrics: registered(), now: now}
	var err error
	s.connection, err = grpc.NewClient("passthrough:///external-signer",
		grpc.WithTransportCredentials(insecure.NewCredentials()),
		grpc.WithAuthority("localhost"),
		grpc.WithDefaultCallOptions(grpc.WaitForReady(true)),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return address.Dial(ctx) }),
		grpc.WithConnectParams(connectParams),
		grpc.WithUnaryInterceptor(s.metrics.measure),
	)
	if err != nil {
		return nil, fmt.Errorf("while setting up external-jwt-signer: while dialing grpc socket at %q: %w", string(address), err)
	}
	s.client = externaljwtv1.NewExternalJWTSignerClient(s.connection)
	klog.FromContext(ctx).Info("Asking the external signer for its keys", "socket", address.String(), "limit", fetchTimeout)
	if err := s.ask(ctx); err != nil {
		s.Close()
		return nil, fmt.Errorf("while setting up external-jwt-signer: %w", err)
	}
	return s, nil
}

func (s *Signer) ask(ctx context.Context) error {
	if err := s.fetch(ctx); err != nil {
		return fmt.Errorf("while initially filling key cache: while performing initial cache fill: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, metadataTimeout)
	defer cancel()
	metadata, err := s.client.Metadata(ctx, &externaljwtv1.MetadataRequest{})
	if err != nil {
		return err
	}
	s.life = time.Duration(min(metadata.MaxTokenExpirationSeconds, maxLife)) * time.Second
	return nil
}

// Close ends the connection.
func (s *Signer) Close() { _ = s.connection.Close() }

// MaxExpiration returns the longest life of a token: the one that is asked for, or the signer's if that is 0. The errors are
// kube-apiserver's.
func (s *Signer) MaxExpiration(asked time.Duration) (time.Duration, error) {
	switch {
	case s.life < minLife:
		return 0, fmt.Errorf("max token life supported by external-jwt-signer (%ds) is less than acceptable (min %ds)", int64(s.life/time.Second), int64(minLife/time.Second))
	case asked == 0:
		return s.life, nil
	case asked > s.life:
		return 0, fmt.Errorf("service-account-max-token-expiration cannot be set longer than the token expiration supported by service-account-signing-endpoint: %s > %s", asked, s.life)
	}
	return asked, nil
}

// LongestLife is the longest life of a token that the signer signs.
func (s *Signer) LongestLife() time.Duration { return s.life }
