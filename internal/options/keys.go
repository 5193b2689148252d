package options

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/mintmark/mintmark/internal/signingkey"
)

const (
	// defaultSigningKeyLead is longer than relying parties keep a key set, most of which don't heed how long they may.
	defaultSigningKeyLead = 24 * time.Hour
	minSigningKeyLead     = time.Second
	maxSigningKeyLead     = 365 * 24 * time.Hour
	// minSigningKeyRotation is more than the time between two looks of the controller.
	minSigningKeyRotation = 10 * time.Minute
)

// addKeyFlags adds the flags about the keys that the server manages.
func (o *Options) addKeyFlags(fs *pflag.FlagSet) {
	t := &o.config.Tokens
	fs.DurationVar(&t.SigningKeyLead, "signing-key-lead-time", t.SigningKeyLead,
		"How long a new signing key is published before it signs, unless a command says otherwise. Relying parties are told to read the keys again within that time, or within an hour if it is longer.")
	fs.DurationVar(&t.SigningKeyRotation, "signing-key-rotation-period", t.SigningKeyRotation,
		"How long a signing key signs before the next one takes over, which the signingkey-controller prepares in time. 0 means that keys are rotated by 'mintmark keys rotate' only.")
	fs.Var(audienceAlgorithms{&t.AudienceAlgorithms}, "audience-signing-algorithm",
		"Algorithm that signs the tokens for an audience, as audience=algorithm: ES256, ES384, ES512, RS256 or EdDSA (sts.amazonaws.com=RS256). May be given several times. "+
			"A key for it is made at the start if there is none; until it may sign, tokens are signed as for other audiences. Default: ES256 for all.")
}

func (o *Options) validateKeys() []error {
	t := &o.config.Tokens
	var errs []error
	if t.SigningKeyLead < minSigningKeyLead || t.SigningKeyLead > maxSigningKeyLead {
		errs = append(errs, fmt.Errorf("--signing-key-lead-time must be between %s and %s: relying parties need time to read a new key before it signs", minSigningKeyLead, maxSigningKeyLead))
	}
	if period := t.SigningKeyRotation; period != 0 && (period < 2*t.SigningKeyLead || period < minSigningKeyRotation) {
		errs = append(errs, fmt.Errorf("--signing-key-rotation-period must be 0, or at least %s and twice --signing-key-lead-time: a key signs for longer than the next one is published before it", minSigningKeyRotation))
	}
	for flag, given := range map[string]bool{"--service-account-signing-key-file": t.SigningKeyFile != "", "--service-account-signing-endpoint": t.SigningEndpoint != ""} {
		if given && len(t.AudienceAlgorithms) > 0 {
			errs = append(errs, fmt.Errorf("--audience-signing-algorithm chooses among the keys that the server manages, and with %s it manages none: leave out one of them", flag))
		}
		if given && t.SigningKeyRotation != 0 {
			errs = append(errs, fmt.Errorf("--signing-key-rotation-period is about the keys that the server manages, and with %s it manages none: leave out one of them", flag))
		}
	}
	return errs
}

// audienceAlgorithms is the value of a flag that is given once for each audience.
type audienceAlgorithms struct{ chosen *map[string]string }

// Set adds an audience. Its algorithm is behind the last equals sign, since an audience may have some.
func (a audienceAlgorithms) Set(text string) error {
	at := strings.LastIndexByte(text, '=')
	if at <= 0 {
		return fmt.Errorf("%q must be an audience and an algorithm, such as sts.amazonaws.com=RS256", text)
	}
	audience, algorithm := text[:at], text[at+1:]
	if strings.TrimSpace(audience) != audience {
		return fmt.Errorf("the audience %q has white space around it", audience)
	}
	if err := signingkey.CheckAlgorithm(algorithm); err != nil {
		return err
	}
	if before, ok := (*a.chosen)[audience]; ok && before != algorithm {
		return fmt.Errorf("the audience %q can't have both %s and %s", audience, before, algorithm)
	}
	if *a.chosen == nil {
		*a.chosen = map[string]string{}
	}
	(*a.chosen)[audience] = algorithm
	return nil
}

// Type is what help calls the value.
func (audienceAlgorithms) Type() string { return "audience=algorithm" }

// String lists the audiences.
func (a audienceAlgorithms) String() string {
	if a.chosen == nil {
		return ""
	}
	var all []string
	for _, audience := range slices.Sorted(maps.Keys(*a.chosen)) {
		all = append(all, audience+"="+(*a.chosen)[audience])
	}
	return strings.Join(all, ",")
}
