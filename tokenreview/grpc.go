package tokenreview

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/authentication/authenticator"
)

// UnaryInterceptor lets calls with a good bearer token in the metadata "authorization" through, with the user in the context
// (UserFrom) and without the token in the metadata. Others end with Unauthenticated, or with Unavailable if there is no verdict.
func UnaryInterceptor(tokens authenticator.Token) grpc.UnaryServerInterceptor {
	return func(ctx context.Context, request any, _ *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
		ctx, err := authenticateCall(ctx, tokens)
		if err != nil {
			return nil, err
		}
		return handler(ctx, request)
	}
}

// StreamInterceptor does for streams what UnaryInterceptor does for calls. The token is looked at when the stream begins: a
// stream that goes on for longer than tokens live has to end by itself.
func StreamInterceptor(tokens authenticator.Token) grpc.StreamServerInterceptor {
	return func(server any, stream grpc.ServerStream, _ *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
		ctx, err := authenticateCall(stream.Context(), tokens)
		if err != nil {
			return err
		}
		return handler(server, &authenticatedStream{ServerStream: stream, ctx: ctx})
	}
}

// authenticatedStream is a stream whose context has the user.
type authenticatedStream struct {
	grpc.ServerStream
	ctx context.Context //nolint:containedctx // a stream's is part of it
}

// Context returns the context with the user.
func (s *authenticatedStream) Context() context.Context { return s.ctx }

func authenticateCall(ctx context.Context, tokens authenticator.Token) (context.Context, error) {
	token, ok := bearer(metadata.ValueFromIncomingContext(ctx, "authorization"))
	if !ok {
		return nil, status.Error(codes.Unauthenticated, "a bearer token is needed")
	}
	ctx, good, err := authenticate(ctx, tokens, token)
	switch {
	case err != nil:
		return nil, status.Error(codes.Unavailable, "the token could not be reviewed, please try again later")
	case !good:
		return nil, status.Error(codes.Unauthenticated, "the token was refused")
	}
	rest, _ := metadata.FromIncomingContext(ctx) // a copy
	rest.Delete("authorization")
	return metadata.NewIncomingContext(ctx, rest), nil
}
