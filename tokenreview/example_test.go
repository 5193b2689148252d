package tokenreview_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"

	"google.golang.org/grpc"
	"k8s.io/apiserver/pkg/authentication/authenticator"
	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokenreview"
)

// server stands for Mintmark, or another server with TokenReview.
func server() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			http.NotFound(w, r)
			return
		}
		w.WriteHeader(http.StatusCreated)
		fmt.Fprint(w, `{"kind": "TokenReview", "apiVersion": "authentication.k8s.io/v1", "status": {
			"authenticated": true, "audiences": ["orders"], "user": {"username": "system:serviceaccount:shop:web"}}}`)
	}))
}

// A service lets in whoever has a token for it.
func ExampleHandler() {
	reviews := server()
	defer reviews.Close()
	client, err := tokenreview.New(tokenreview.Config{
		Server:    &rest.Config{Host: reviews.URL}, // in a pod: rest.InClusterConfig()
		Audiences: []string{"orders"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	service := tokenreview.Handler(client, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who, _ := tokenreview.UserFrom(r.Context())
		fmt.Fprintln(w, "hello,", who.GetName())
	}))

	request := httptest.NewRequest(http.MethodGet, "/", nil)
	request.Header.Set("Authorization", "Bearer a-token")
	answer := httptest.NewRecorder()
	service.ServeHTTP(answer, request)
	fmt.Print(answer.Code, " ", answer.Body)

	answer = httptest.NewRecorder()
	service.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/", nil))
	fmt.Println(answer.Code, answer.Header().Get("WWW-Authenticate"))
	// Output:
	// 200 hello, system:serviceaccount:shop:web
	// 401 Bearer
}

// Where there is no HTTP, a client is an authenticator.Token.
func ExampleClient_AuthenticateToken() {
	reviews := server()
	defer reviews.Close()
	client, err := tokenreview.New(tokenreview.Config{Server: &rest.Config{Host: reviews.URL}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	for _, audience := range []string{"orders", "stock"} {
		ctx := authenticator.WithAudiences(context.Background(), authenticator.Audiences{audience})
		response, ok, err := client.AuthenticateToken(ctx, "a-token")
		switch {
		case errors.Is(err, tokenreview.ErrUnavailable):
			fmt.Println("no verdict: try again later")
		case !ok:
			fmt.Println("refused:", err)
		default:
			fmt.Println("good for", response.Audiences, "-", response.User.GetName())
		}
	}
	// Output:
	// good for [orders] - system:serviceaccount:shop:web
	// refused: the token is not for this service
}

// A gRPC server takes the token from the metadata of calls and streams.
func ExampleUnaryInterceptor() {
	reviews := server()
	defer reviews.Close()
	client, err := tokenreview.New(tokenreview.Config{Server: &rest.Config{Host: reviews.URL}, Audiences: []string{"orders"}})
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	service := grpc.NewServer(
		grpc.UnaryInterceptor(tokenreview.UnaryInterceptor(client)),
		grpc.StreamInterceptor(tokenreview.StreamInterceptor(client)),
	)
	fmt.Println(len(service.GetServiceInfo()), "services")
	// Output: 0 services
}
