package tokensource_test

import (
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/rest"

	"github.com/mintmark/mintmark/tokensource"
)

// A program calls a service with tokens of an account, which are renewed in time.
func ExampleNew() {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusCreated)
		_ = json.NewEncoder(w).Encode(map[string]any{"status": map[string]any{"token": "t1", "expirationTimestamp": time.Now().Add(time.Hour)}})
	}))
	defer server.Close()
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "got ", r.Header.Get("Authorization"))
	}))
	defer service.Close()

	source, err := tokensource.New(tokensource.Config{
		Server:    &rest.Config{Host: server.URL},
		Namespace: "shop", Account: "web",
		Audiences: []string{"orders"},
	})
	if err != nil {
		log.Fatal(err)
	}
	defer source.Close()
	client := &http.Client{Transport: source.Transport(nil)}
	response, err := client.Get(service.URL)
	if err != nil {
		log.Fatal(err)
	}
	defer response.Body.Close()
	var answer [64]byte
	n, _ := response.Body.Read(answer[:])
	fmt.Println(string(answer[:n]))
	// Output: got Bearer t1
}

// In a pod, or on a machine with mintmark agent, the token is in a file that is replaced in time.
func ExampleFromFile() {
	dir, err := os.MkdirTemp("", "tokens")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "token")
	if err := os.WriteFile(file, []byte("t1\n"), 0o600); err != nil {
		log.Fatal(err)
	}
	source := tokensource.FromFile(file)
	defer source.Close()
	token, err := source.Token()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(token.Type(), token.AccessToken)
	// Output: Bearer t1
}
