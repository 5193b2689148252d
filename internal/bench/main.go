// Command bench measures what a request of TokenRequest (POST …/serviceaccounts/{name}/token) or TokenReview (POST
// /apis/authentication.k8s.io/v1/tokenreviews) costs: the CPU of the whole server process, against a bare HTTPS server
// that is measured in the same minutes. It is a client of the wire and knows nothing else of the server. See
// docs/performance.md, which it writes.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// A second signal has its ordinary meaning.
	context.AfterFunc(ctx, stop)
	err := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}
