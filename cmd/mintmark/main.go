// Command mintmark is the Kubernetes authentication API without the cluster: serve runs the
// server, agent keeps token files on machines, workload says which ones, token creates, reviews and
// inspects tokens, keys rotates the keys that sign them, snapshot saves and restores the embedded
// store, conformance tries external signers, version says what was built.
package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	go func() {
		// The first signal asks for an orderly end, and the next one ends the process at once. Its default action would
		// not do: it is ignored by process 1 of a container and by commands that a script runs in the background.
		<-signals
		stop()
		if number, ok := (<-signals).(syscall.Signal); ok {
			os.Exit(128 + int(number))
		}
	}()
	os.Exit(run(ctx, os.Args[1:], streams{in: os.Stdin, out: os.Stdout, err: os.Stderr}))
}
