package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/client-go/rest"
)

const (
	flagBearerTokenFile = "bearer-token-file"
	// maxBearerBytes bounds a token to call with. Servers take a megabyte of headers at most, and the tokens of CI systems
	// have a few kilobytes.
	maxBearerBytes = 64 << 10
	// maxClaimShown bounds what an error repeats of a claim.
	maxClaimShown = 200
)

// bearerToken is the token that a command calls the server with (--bearer-token-file), in place of the kubeconfig's
// credentials.
type bearerToken struct {
	token  string
	source string // where it was read, for a sentence
}

// bearer reads the token of --bearer-token-file, or returns nil without that flag. No error repeats any part of it.
func (f *connectionFlags) bearer(cmd *cobra.Command) (*bearerToken, error) {
	if !cmd.Flags().Changed(flagBearerTokenFile) {
		return nil, nil
	}
	b := &bearerToken{source: f.bearerFile}
	var in io.Reader
	switch f.bearerFile {
	case "":
		return nil, usageErrorf(cmd, "--%s must name a file, or - for standard input", flagBearerTokenFile)
	case "-":
		b.source, in = "standard input", cmd.InOrStdin()
	default:
		file, err := os.Open(f.bearerFile)
		if err != nil {
			return nil, fmt.Errorf("cannot read the token to call with (--%s): %w", flagBearerTokenFile, err)
		}
		defer func() { _ = file.Close() }()
		in = file
	}
	text, err := readAll(cmd.Context(), in, maxBearerBytes)
	if err != nil {
		return nil, fmt.Errorf("cannot read the token to call with from %s: %w", b.source, err)
	}
	b.token = strings.TrimRight(text, "\r\n")
	return b, b.check(cmd)
}

// check refuses a text that is no token, such as what a step that failed left in its place.
func (b *bearerToken) check(cmd *cobra.Command) error {
	scheme, _, words := strings.Cut(b.token, " ")
	printable := func(r rune) bool { return r > ' ' && r < 0x7f }
	switch {
	case strings.TrimSpace(b.token) == "" || b.token == "null":
		return usageErrorf(cmd, "there is no token in %s: the step that gets it from the CI system gave nothing, see whether the job may have one", b.source)
	case strings.HasPrefix(strings.TrimSpace(b.token), "{"):
		return usageErrorf(cmd, "in %s is a JSON object and not a token: take the token out of it, as with jq -r .value", b.source)
	case words && strings.EqualFold(scheme, "bearer"):
		return usageErrorf(cmd, "in %s is the value of an Authorization header: leave out the word in front of the token", b.source)
	case strings.ContainsFunc(b.token, func(r rune) bool { return !printable(r) }):
		return usageErrorf(cmd, "in %s is more than a token: there is white space or a special character in it", b.source)
	}
	return nil
}

// stdinTaken refuses to read standard input if the token to call with is read from there.
func stdinTaken(cmd *cobra.Command) error {
	if flag := cmd.Flags().Lookup(flagBearerTokenFile); flag != nil && flag.Value.String() == "-" {
		return usageErrorf(cmd, "standard input can't be read twice: name a file with --%s", flagBearerTokenFile)
	}
	return nil
}

// useBearer has requests carry a token and no other credentials. It takes what makes a configuration impersonate somebody
// from with.
func useBearer(config *rest.Config, b *bearerToken) (*rest.Config, error) {
	address, _, err := rest.DefaultServerUrlFor(config)
	if err != nil {
		return nil, err
	}
	if address.Scheme != "https" {
		return nil, fmt.Errorf("a token is sent to https:// only, and the server is %s: anybody on the way could read it", config.Host)
	}
	bare := rest.AnonymousClientConfig(config)
	bare.BearerToken, bare.Impersonate = b.token, config.Impersonate
	return bare, nil
}

// refused says what a token that a server does not accept tells of itself.
func (b *bearerToken) refused(now time.Time) string {
	t, err := decodeJWT(b.token)
	if err != nil {
		return ""
	}
	said := []string{
		"Its issuer is " + claimText(t.members["iss"]),
		"its audience is " + claimText(t.members["aud"]),
	}
	if times := t.times(now); len(times) > 0 {
		said = append(said, "it "+times[0]) // of exp
	}
	return ". " + strings.Join(said, ", ") + ". The server must know issuer and audience (--authentication-config), " +
		"and the claims must meet its rules; its audit log has the reason"
}

// claimText is a claim for a sentence: a text, a list of texts, or none.
func claimText(value json.RawMessage) string {
	var texts []string
	var text string
	if json.Unmarshal(value, &text) == nil {
		texts = []string{text}
	} else if json.Unmarshal(value, &texts) != nil {
		return "missing"
	}
	if len(texts) == 0 {
		return "missing"
	}
	shown := fmt.Sprintf("%q", texts)
	if len(texts) == 1 {
		shown = fmt.Sprintf("%q", texts[0])
	}
	if len(shown) > maxClaimShown {
		shown = shown[:maxClaimShown] + "…"
	}
	return shown
}

// readAll reads in until its end, at most limit bytes, or until ctx is done: a read from a terminal doesn't end by itself
// when the person gives up.
func readAll(ctx context.Context, in io.Reader, limit int64) (string, error) {
	type result struct {
		data []byte
		err  error
	}
	done := make(chan result, 1)
	go func() {
		data, err := io.ReadAll(io.LimitReader(in, limit+1))
		done <- result{data, err}
	}()
	select {
	case <-ctx.Done():
		return "", errors.New("interrupted")
	case got := <-done:
		if int64(len(got.data)) > limit {
			return "", fmt.Errorf("it is longer than %d bytes, so it isn't a token", limit)
		}
		return string(got.data), got.err
	}
}
