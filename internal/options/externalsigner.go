package options

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"

	"github.com/spf13/pflag"

	"github.com/mintmark/mintmark/internal/apiserver"
	"github.com/mintmark/mintmark/internal/unixsocket"
)

// Names of the flags about external signers.
const (
	signingEndpointFlag = "service-account-signing-endpoint"
	signerListenFlag    = "external-jwt-signer-listen"
	socketModeFlag      = "external-jwt-signer-socket-mode"
	allowedUIDsFlag     = "external-jwt-signer-allowed-uids"
)

// socketMode is the mode of the signer's socket: the user of the server alone.
const socketMode = "0600"

// signerFlags name the external signer of this server, and the socket on which it is one for others.
type signerFlags struct {
	endpoint, listen, mode string
	uids                   []int
}

func (f *signerFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.endpoint, signingEndpointFlag, f.endpoint,
		"Unix socket of an external signer (KEP-740) that signs the tokens instead of keys of this server: a path, or @name for an abstract socket. It excludes the flags for key files.")
	fs.StringVar(&f.listen, signerListenFlag, f.listen,
		"Unix socket on which this server is an external signer (KEP-740) for kube-apiservers on the same machine, such as unix:///run/mintmark/signer.sock, or @name for an abstract socket. Root and the user of this server may use it.")
	fs.StringVar(&f.mode, socketModeFlag, f.mode,
		"Mode of the file of that socket.")
	fs.IntSliceVar(&f.uids, allowedUIDsFlag, f.uids,
		"Further users who may use that socket, by uid. The mode of the socket must let them, too.")
}

// validate returns the errors in the flags, with kube-apiserver's texts where it has the same check.
func (f *signerFlags) validate(tokens *apiserver.Tokens) []error {
	var errs []error
	if f.endpoint != "" {
		if tokens.SigningKeyFile != "" || len(tokens.KeyFiles) > 0 {
			errs = append(errs, errors.New("can't set `--service-account-signing-key-file` and/or `--service-account-key-file` with `--service-account-signing-endpoint` (They are mutually exclusive)"))
		}
		switch _, err := unixsocket.Parse(f.endpoint); {
		case errors.Is(err, unixsocket.ErrAbstractName):
			errs = append(errs, fmt.Errorf("invalid value %q passed for `--service-account-signing-endpoint`, when prefixed with @ must be a valid abstract socket name", f.endpoint))
		case err != nil:
			errs = append(errs, fmt.Errorf("--%s: %w", signingEndpointFlag, err))
		}
	}
	if f.listen == "" {
		if f.mode != socketMode || len(f.uids) > 0 {
			errs = append(errs, fmt.Errorf("--%s and --%s are for the socket of --%s: name one, or leave them out", socketModeFlag, allowedUIDsFlag, signerListenFlag))
		}
		return errs
	}
	if f.endpoint != "" {
		errs = append(errs, fmt.Errorf("--%s with --%s: this server has no keys to sign with for others; let them name the socket of the external signer itself", signerListenFlag, signingEndpointFlag))
	}
	if _, err := unixsocket.Parse(f.listen); err != nil {
		errs = append(errs, fmt.Errorf("--%s: %w", signerListenFlag, err))
	}
	return append(errs, f.validatePeers()...)
}

// validatePeers checks who may use the socket.
func (f *signerFlags) validatePeers() []error {
	mode, err := parseMode(f.mode)
	if err != nil {
		return []error{err}
	}
	var errs []error
	if !unixsocket.KnowsPeers && (len(f.uids) > 0 || mode&0o077 != 0) {
		errs = append(errs, fmt.Errorf("--%s and --%s: who connects is known on Linux only, so here the mode must be %s and no uid can be given", allowedUIDsFlag, socketModeFlag, socketMode))
	}
	for _, uid := range f.uids {
		if uid < 0 {
			errs = append(errs, fmt.Errorf("--%s: %d is no uid", allowedUIDsFlag, uid))
		}
	}
	return errs
}

// parseMode reads a mode in octal.
func parseMode(text string) (fs.FileMode, error) {
	mode, err := strconv.ParseUint(strings.TrimPrefix(text, "0o"), 8, 32)
	if err != nil || mode&0o600 != 0o600 || mode > 0o777 {
		return 0, fmt.Errorf("--%s=%s: it must be an octal mode with which the server's own user may read and write, such as %s or 0660", socketModeFlag, text, socketMode)
	}
	return fs.FileMode(mode), nil
}

// apply writes validated flags into the configuration.
func (f *signerFlags) apply(cfg *apiserver.Config) {
	// Both have been parsed before, without errors.
	if f.endpoint != "" {
		cfg.Tokens.SigningEndpoint, _ = unixsocket.Parse(f.endpoint)
	}
	if f.listen != "" {
		cfg.ExternalSigner.Listen, _ = unixsocket.Parse(f.listen)
		cfg.ExternalSigner.Mode, _ = parseMode(f.mode)
		cfg.ExternalSigner.AllowedUIDs = f.uids
	}
}
