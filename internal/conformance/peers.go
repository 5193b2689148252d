package conformance

import (
	"bufio"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"
)

// peer is a server that the server under test talks to. Its answers are the same at every run, so that records can be compared.
type peer struct {
	address string
	handler http.Handler
}

// startPeers starts the peers of a variant, whose addresses are written into its configuration, and returns how to
// stop them. They serve TLS with server.crt and server.key of the folder.
func startPeers(folder string) (stop func(), err error) {
	peers, err := readPeers(folder)
	if err != nil || len(peers) == 0 {
		return func() {}, err
	}
	var running []*http.Server
	var serving sync.WaitGroup
	stop = func() {
		for _, server := range running {
			_ = server.Close() // nobody waits for the end of what it was doing
		}
		serving.Wait() // a server that had hardly begun still holds its port
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(folder, "server.crt"), filepath.Join(folder, "server.key"))
	if err != nil {
		return nil, err
	}
	for _, p := range peers {
		listener, err := net.Listen("tcp", p.address)
		if err != nil {
			stop()
			return nil, err
		}
		server := &http.Server{
			Handler:           p.handler,
			ReadHeaderTimeout: 10 * time.Second,
			TLSConfig:         &tls.Config{Certificates: []tls.Certificate{pair}},
			ErrorLog:          log.New(io.Discard, "", 0), // refused handshakes, which are part of some stories
		}
		running = append(running, server)
		serving.Go(func() { _ = server.ServeTLS(listener, "", "") }) // until stop
	}
	return stop, nil
}

// readPeers reads the file peers, if there is one: a command line for each peer.
func readPeers(folder string) ([]peer, error) {
	file, err := os.Open(filepath.Join(folder, "peers"))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer func() { _ = file.Close() }()
	var peers []peer
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		p, err := readPeer(folder, strings.Fields(lines.Text()))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file.Name(), err)
		}
		peers = append(peers, p)
	}
	return peers, lines.Err()
}

// readPeer reads one command line:
//
//	serve-oidc -listen HOST:PORT -key FILE,... [-issuer URL] [-discovery PATH]    an OpenID Connect issuer
//	serve-webhook -listen HOST:PORT -table FILE                                   a token webhook
func readPeer(folder string, words []string) (p peer, err error) {
	if len(words) == 0 {
		return p, errors.New("empty line")
	}
	flags := flag.NewFlagSet(words[0], flag.ContinueOnError)
	flags.SetOutput(io.Discard) // the error says it all
	flags.StringVar(&p.address, "listen", "", "address")
	issuer := flags.String("issuer", "", "issuer URL, https://LISTEN if empty")
	discovery := flags.String("discovery", "/.well-known/openid-configuration", "path of the discovery document")
	keys := flags.String("key", "", "comma-separated PEM files with the private keys that tokens are signed with")
	table := flags.String("table", "", "JSON file: token → answer")
	if err := flags.Parse(words[1:]); err != nil {
		return p, err
	}
	switch words[0] {
	case "serve-oidc":
		base := "https://" + p.address
		if *issuer == "" {
			*issuer = base
		}
		p.handler, err = newIssuer(*issuer, base, *discovery, inFolder(folder, strings.Split(*keys, ",")))
	case "serve-webhook":
		p.handler, err = newWebhook(filepath.Join(folder, *table))
	default:
		err = fmt.Errorf("unknown peer %q", words[0])
	}
	return p, err
}

func inFolder(folder string, names []string) []string {
	paths := make([]string, len(names))
	for i, name := range names {
		paths[i] = filepath.Join(folder, name)
	}
	return paths
}
