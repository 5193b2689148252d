package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/spf13/pflag"
)

// floorCommand is the name under which this program runs as the floor.
const floorCommand = "floor"

// readHeaderTimeout is that of kube-apiserver.
const readHeaderTimeout = 32 * time.Second

// answer is a recorded answer of a server, which the floor sends.
type answer struct {
	Status int         `json:"status"`
	Header http.Header `json:"header"`
	Body   []byte      `json:"body"`
}

// floor is the least that an HTTPS server in Go can do about a request: read it, and send bytes that it has ready.
type floor struct{ answer atomic.Pointer[answer] }

// ServeHTTP sends the answer, whatever the request.
func (f *floor) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	// If the body can't be read, the answer won't be either.
	_, _ = io.Copy(io.Discard, r.Body)
	fixed := f.answer.Load()
	maps.Copy(w.Header(), fixed.Header)
	w.WriteHeader(fixed.Status)
	_, _ = w.Write(fixed.Body)
}

// runFloor serves until its input ends, so that it never outlives who started it. It tells its address on its output,
// then takes one answer after the other from its input and confirms each on its output.
func runFloor(ctx context.Context, args []string, s streams) error {
	var certFile, keyFile string
	flags := pflag.NewFlagSet(floorCommand, pflag.ContinueOnError)
	flags.StringVar(&certFile, "cert", "", "certificate")
	flags.StringVar(&keyFile, "key", "", "key of the certificate")
	if err := flags.Parse(args); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	handler := &floor{}
	handler.answer.Store(&answer{Status: http.StatusNoContent})
	server := &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: readHeaderTimeout,
		TLSConfig: &tls.Config{
			Certificates: []tls.Certificate{certificate},
			MinVersion:   tls.VersionTLS12,
			// As a kube-apiserver, the floor requests client certificates. It never verifies them.
			ClientAuth: tls.RequestClientCert,
		},
	}
	served := make(chan error, 1)
	go func() { served <- server.ServeTLS(listener, "", "") }()
	told := make(chan error, 1)
	go func() { told <- handler.obey("https://"+listener.Addr().String(), s) }()
	select {
	case err = <-served:
	case err = <-told:
	case <-ctx.Done():
	}
	return errors.Join(err, server.Close())
}

// obey tells the address, and then sets the answers that the input brings until it ends.
func (f *floor) obey(url string, s streams) error {
	say := json.NewEncoder(s.out)
	if err := say.Encode(url); err != nil {
		return err
	}
	for decoder := json.NewDecoder(s.in); ; {
		next := &answer{}
		if err := decoder.Decode(next); errors.Is(err, io.EOF) {
			return nil
		} else if err != nil {
			return fmt.Errorf("reading the answer to give: %w", err)
		}
		f.answer.Store(next)
		if err := say.Encode(url); err != nil {
			return err
		}
	}
}
