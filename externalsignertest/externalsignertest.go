// Package externalsignertest checks an external signer of service account tokens (KEP-740) against what kube-apiserver
// demands of one: the gRPC service ExternalJWTSigner of k8s.io/externaljwt, on a Unix socket.
//
// Run makes the calls that a kube-apiserver makes, and verifies what comes back. The tokens that the signer signs meanwhile
// are for an account that does not exist, and the longest of them lives as long as the signer allows.
package externalsignertest

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"

	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	externaljwtv1 "k8s.io/externaljwt/apis/v1"
	externaljwtv1alpha1 "k8s.io/externaljwt/apis/v1alpha1"

	"github.com/mintmark/mintmark/internal/unixsocket"
)

// Options say what the signer is asked to sign. The zero value is good for signers that sign for any issuer.
type Options struct {
	// Issuer is the iss of the claims. Default: https://conformance.invalid.
	Issuer string
	// Audience is the aud of the claims. Default: conformance.invalid.
	Audience string
}

// Result is the result of one check.
type Result struct {
	// Name of the check, such as sign/signature.
	Name string
	// Requirement is what kube-apiserver demands, in a sentence.
	Requirement string
	// Err says what the signer did instead. It is nil if the check passed or was skipped. No error has a token in it.
	Err error
	// Skipped says why the check was not made; empty if it was.
	Skipped string
}

// Run connects to a socket (unix:///run/signer.sock, /run/signer.sock or @name) and makes the checks in a fixed order, each
// when the loop asks for it.
func Run(ctx context.Context, socket string, options Options) iter.Seq[Result] {
	if options.Issuer == "" {
		options.Issuer = "https://conformance.invalid"
	}
	if options.Audience == "" {
		options.Audience = "conformance.invalid"
	}
	return func(yield func(Result) bool) {
		s := &suite{ctx: ctx, options: options}
		defer s.close()
		for _, c := range checks(socket) {
			result := Result{Name: c.name, Requirement: c.requirement, Err: c.run(s)}
			if skip := skipped(""); errors.As(result.Err, &skip) {
				result.Err, result.Skipped = nil, string(skip)
			}
			if !yield(result) {
				return
			}
		}
	}
}

// check is a check with its name.
type check struct {
	name, requirement string
	run               func(*suite) error
}

// skipped is the reason for which a check is not made.
type skipped string

func (s skipped) Error() string { return string(s) }

// suite is what the checks have found out so far about one signer.
type suite struct {
	ctx     context.Context
	options Options
	conn    *grpc.ClientConn
	// first and second are what FetchKeys answered before and after the first signature, and signed is that signature. They
	// are nil until their calls have succeeded.
	first, second *externaljwtv1.FetchKeysResponse
	metadata      *externaljwtv1.MetadataResponse
	signed        *signed
}

func (s *suite) close() {
	if s.conn != nil {
		_ = s.conn.Close()
	}
}

// connect opens the socket once by itself, since gRPC does not tell for what reason it can't, and then by gRPC.
func (s *suite) connect(socket string) error {
	address, err := unixsocket.Parse(socket)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(s.ctx, connectLimit)
	defer cancel()
	tried, err := address.Dial(ctx)
	if err != nil {
		return err
	}
	_ = tried.Close()
	s.conn, err = grpc.NewClient("passthrough:///signer", grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"),
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return address.Dial(ctx) }))
	return err
}

// Names of the gRPC service in its two versions, which have the same messages.
var (
	v1       = externaljwtv1.ExternalJWTSigner_ServiceDesc.ServiceName
	v1alpha1 = externaljwtv1alpha1.ExternalJWTSigner_ServiceDesc.ServiceName
)

// call makes one call of a version of the service.
func call[Response any](s *suite, version, method string, request any) (*Response, error) {
	if s.conn == nil {
		return nil, skipped("there is no connection")
	}
	ctx, cancel := context.WithTimeout(s.ctx, limits[method])
	defer cancel()
	response := new(Response)
	if err := s.conn.Invoke(ctx, "/"+version+"/"+method, request, response, grpc.WaitForReady(true)); err != nil {
		return nil, fmt.Errorf("%s: %w", method, err)
	}
	return response, nil
}
