// Command mintmark is the Kubernetes authentication API without the cluster: serve runs the
// server, token creates, reviews and inspects tokens, version says what was built.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	// The first signal asks for an orderly end; the next one gets its ordinary meaning back, so
	// that a command which hangs can still be ended from the keyboard.
	context.AfterFunc(ctx, stop)
	code := run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr})
	stop()
	os.Exit(code)
}
