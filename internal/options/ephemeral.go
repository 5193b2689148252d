package options

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/mintmark/mintmark/internal/testclock"
)

// ephemeralFlags are the flags of a server for tests, and those that do not go with it.
type ephemeralFlags struct {
	ephemeral     bool
	dataDir, port *pflag.Flag
}

// addEphemeralFlags adds the flags of a server for tests. --data-dir and --secure-port are there already.
func (o *Options) addEphemeralFlags(fs, server, serving *pflag.FlagSet) {
	o.ephemeral.dataDir, o.ephemeral.port = server.Lookup("data-dir"), serving.Lookup("secure-port")
	fs.BoolVar(&o.ephemeral.ephemeral, "ephemeral", false,
		"Run a server for tests: its state is in memory and ends with it, its port is a free one, one line of JSON on the standard output says how to reach it, "+
			"and it stops when its standard input is closed. Its clock can be moved ('mintmark clock advance'), and it makes bad tokens ('mintmark token forge').")
	fs.DurationVar(&o.config.Tokens.MinExpiration, "service-account-min-token-expiration", 0,
		"Shortest life that a request may ask for, at least 1s; 0 means 10m. Only with --ephemeral: tokens that live for less than 10m are for tests, and a kube-apiserver issues none.")
}

func (o *Options) validateEphemeral() []error {
	var errs []error
	shortest := o.config.Tokens.MinExpiration
	if !o.ephemeral.ephemeral {
		if shortest != 0 {
			errs = append(errs, errors.New("--service-account-min-token-expiration is for tests: give --ephemeral as well, or leave it out"))
		}
		return errs
	}
	if shortest != 0 && (shortest < time.Second || shortest > 10*time.Minute) {
		errs = append(errs, fmt.Errorf("--service-account-min-token-expiration must be between 1s and 10m, not %s", shortest))
	}
	if o.ephemeral.dataDir.Changed {
		errs = append(errs, errors.New("--ephemeral and --data-dir exclude each other: an ephemeral server keeps nothing; leave out one of them"))
	}
	if len(o.config.Storage.StorageConfig.Transport.ServerList) > 0 {
		errs = append(errs, errors.New("--ephemeral and --etcd-servers exclude each other: an ephemeral server has a store of its own, which ends with it; leave out one of them"))
	}
	if o.config.Tokens.ChangeIssuer {
		errs = append(errs, errors.New("--ephemeral and --change-service-account-issuer exclude each other: an ephemeral server has no issuer of an earlier start; leave out one of them"))
	}
	return errs
}

// applyEphemeral has a configuration be one of a server for tests. The caller sets its data directory.
func (o *Options) applyEphemeral() {
	if !o.ephemeral.ephemeral {
		return
	}
	o.config.Ephemeral, o.config.Clock, o.config.DataDir = true, testclock.New(), ""
	if !o.ephemeral.port.Changed {
		serving := *o.config.Serving
		serving.BindPort = 0
		o.config.Serving = &serving
	}
}
