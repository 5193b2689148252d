package main

import (
	"context"
	"crypto/rand"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"golang.org/x/term"
	"k8s.io/apiserver/pkg/authentication/user"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/datadir"
)

// ephemeralServer is what a server for tests says of itself: one line of JSON.
type ephemeralServer struct {
	URL    string `json:"url"`
	Issuer string `json:"issuer"`
	// CA is the PEM of the authorities of the serving certificate, and CAFile a file with the same.
	CA     string `json:"ca"`
	CAFile string `json:"caFile"`
	// Kubeconfig is the administrator's file, and Token the administrator's token. It has no end.
	Kubeconfig string `json:"kubeconfig"`
	Token      string `json:"token"`
}

// ephemeralAdministrator is the user of the token, as in the certificate of the kubeconfig.
const ephemeralAdministrator = "admin"

// serveEphemeral runs a server whose state ends with it. It stops when the standard input is closed.
func serveEphemeral(ctx context.Context, cfg apiserver.Config, s streams) (err error) {
	dir, remove, err := datadir.Temporary()
	if err != nil {
		return err
	}
	defer func() {
		if failed := remove(); err == nil {
			err = failed
		}
	}()
	token := rand.Text()
	file := filepath.Join(dir, "tokens.csv")
	if err := writeTokens(file, cfg.Authentication.TokenFile, token); err != nil {
		return err
	}
	cfg.DataDir, cfg.Authentication.TokenFile = dir, file
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	if hasEnd(s.in) {
		go func() {
			_, _ = io.Copy(io.Discard, s.in) // whatever ends it, nobody is there any more
			stop()
		}()
	}
	return serve(ctx, cfg, func(server *apiserver.Server) error {
		about := ephemeralServer{
			URL: server.URL(), Issuer: server.Issuer(), CA: string(server.RootCA()), CAFile: filepath.Join(dir, "server-ca.crt"),
			Kubeconfig: server.Kubeconfig(), Token: token,
		}
		if err := os.WriteFile(about.CAFile, server.RootCA(), 0o600); err != nil {
			return err
		}
		return json.NewEncoder(s.out).Encode(about)
	})
}

// hasEnd reports whether the end of an input says that the parent has ended: that of a file or of /dev/null is there from the
// beginning.
func hasEnd(in io.Reader) bool {
	file, ok := in.(*os.File)
	if !ok {
		return in != nil
	}
	info, err := file.Stat()
	return err == nil && (info.Mode()&(os.ModeNamedPipe|os.ModeSocket) != 0 || term.IsTerminal(int(file.Fd())))
}

// writeTokens writes a file for --token-auth-file: the administrator's token, and what is in the given file, if one is named.
func writeTokens(file, given, token string) error {
	var others []byte
	if given != "" {
		var err error
		if others, err = os.ReadFile(given); err != nil {
			return fmt.Errorf("--token-auth-file: %w", err)
		}
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer out.Close() //nolint:errcheck // a failure to write is seen before
	lines := csv.NewWriter(out)
	if err := lines.Write([]string{token, ephemeralAdministrator, "", user.SystemPrivilegedGroup}); err != nil {
		return err
	}
	lines.Flush()
	if err := lines.Error(); err != nil {
		return err
	}
	_, err = out.Write(others)
	return err
}
