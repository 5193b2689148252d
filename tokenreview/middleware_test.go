package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/tokenreview"
)

// stand is an authenticator that knows one good token, and has no verdict about another one.
var stand = authenticator.TokenFunc(func(_ context.Context, token string) (*authenticator.Response, bool, error) {
	switch token {
	case "good":
		return &authenticator.Response{User: &user.DefaultInfo{Name: "alice"}}, true, nil
	case "unknown":
		return nil, false, fmt.Errorf("%w: the server is away", tokenreview.ErrUnavailable)
	case "refused":
		return nil, false, errors.New("the token has expired")
	case "empty":
		return nil, true, nil // what no authenticator should do
	}
	return nil, false, nil
})

// doors are headers Authorization, and what they lead to.
var doors = []struct {
	headers   []string
	status    int
	challenge string
	code      codes.Code
}{
	{[]string{"Bearer good"}, 200, "", codes.OK},
	{[]string{"bearer  good "}, 200, "", codes.OK},
	{nil, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Basic good"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"good"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Bearer "}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Bearer good good"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"BEARER good"}, 200, "", codes.OK},
	{[]string{"Bearer\tgood"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Bearer good, Bearer good"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{""}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Bearer good", "Bearer other"}, 401, "Bearer", codes.Unauthenticated},
	{[]string{"Bearer bad"}, 401, `Bearer error="invalid_token"`, codes.Unauthenticated},
	{[]string{"Bearer refused"}, 401, `Bearer error="invalid_token"`, codes.Unauthenticated},
	{[]string{"Bearer empty"}, 401, `Bearer error="invalid_token"`, codes.Unauthenticated},
	{[]string{"Bearer unknown"}, 503, "", codes.Unavailable},
}

func TestHandler(t *testing.T) {
	handler := tokenreview.Handler(stand, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, ok := tokenreview.UserFrom(r.Context())
		if !ok || who.GetName() != "alice" || r.Header.Get("Authorization") != "" {
			t.Errorf("the handler got %v, %t", who, ok)
		}
	}))
	for _, door := range doors {
		r, w := httptest.NewRequest(http.MethodGet, "/", nil), httptest.NewRecorder()
		if door.headers != nil {
			r.Header["Authorization"] = door.headers
		}
		handler.ServeHTTP(w, r)
		if w.Code != door.status || w.Header().Get("WWW-Authenticate") != door.challenge || (w.Header().Get("Retry-After") != "") != (w.Code == 503) {
			t.Errorf("%q: %d, %v", door.headers, w.Code, w.Header())
		}
		if door.headers != nil && r.Header["Authorization"] == nil {
			t.Errorf("%q: the request itself was changed", door.headers)
		}
	}
}

// stream is a stream of a context.
type stream struct {
	grpc.ServerStream
	ctx context.Context
}

func (s stream) Context() context.Context { return s.ctx }

func TestInterceptors(t *testing.T) {
	unary, streams := tokenreview.UnaryInterceptor(stand), tokenreview.StreamInterceptor(stand)
	for _, door := range doors {
		ctx := metadata.NewIncomingContext(t.Context(), metadata.MD{"authorization": door.headers, "trace": {"1"}})
		known := func(ctx context.Context) {
			who, ok := tokenreview.UserFrom(ctx)
			if !ok || who.GetName() != "alice" || metadata.ValueFromIncomingContext(ctx, "authorization") != nil || len(metadata.ValueFromIncomingContext(ctx, "trace")) != 1 {
				t.Errorf("%q: the handler got %v, %t", door.headers, who, ok)
			}
		}
		_, err := unary(ctx, nil, nil, func(ctx context.Context, _ any) (any, error) { known(ctx); return nil, nil })
		if got := status.Code(err); got != door.code {
			t.Errorf("%q, call: %v", door.headers, err)
		}
		err = streams(nil, stream{ctx: ctx}, nil, func(_ any, s grpc.ServerStream) error { known(s.Context()); return nil })
		if got := status.Code(err); got != door.code {
			t.Errorf("%q, stream: %v", door.headers, err)
		}
	}
}
