package options

import (
	"maps"
	"strings"
	"testing"

	"github.com/spf13/pflag"
)

func parseKeyFlags(args ...string) (*Options, error) {
	o := New()
	fs := pflag.NewFlagSet("", pflag.ContinueOnError)
	for _, set := range o.Flags().FlagSets {
		fs.AddFlagSet(set)
	}
	return o, fs.Parse(args)
}

// TestAudienceSigningAlgorithm: the algorithm is behind the last equals sign, and what can't be meant is refused.
func TestAudienceSigningAlgorithm(t *testing.T) {
	const flag = "--audience-signing-algorithm="
	o, err := parseKeyFlags(flag+"sts.amazonaws.com=RS256", flag+"https://x.example/?a=b=EdDSA", flag+"sts.amazonaws.com=RS256")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"sts.amazonaws.com": "RS256", "https://x.example/?a=b": "EdDSA"}
	if got := o.config.Tokens.AudienceAlgorithms; !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{flag + "sts.amazonaws.com"}, "must be an audience and an algorithm, such as sts.amazonaws.com=RS256"},
		{[]string{flag + "=RS256"}, "must be an audience and an algorithm"},
		{[]string{flag + "a="}, `no key can be made for the algorithm ""`},
		{[]string{flag + "a=HS256"}, "must be one of ES256, ES384, ES512, RS256, EdDSA"},
		{[]string{flag + "a=rs256"}, "must be one of ES256"},
		{[]string{flag + " a=RS256"}, "has white space around it"},
		{[]string{flag + "a=RS256", flag + "a=ES256"}, `the audience "a" can't have both RS256 and ES256`},
	} {
		if _, err := parseKeyFlags(test.args...); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%q: error %v, want %q", test.args, err, test.want)
		}
	}
	for _, test := range []struct {
		args []string
		want string
	}{
		{[]string{"--signing-key-lead-time=0"}, "--signing-key-lead-time must be between 1s and 8760h0m0s"},
		{[]string{"--signing-key-lead-time=-1h"}, "--signing-key-lead-time must be between"},
		{[]string{"--signing-key-lead-time=9000h"}, "--signing-key-lead-time must be between"},
		{[]string{flag + "a=RS256", "--service-account-signing-key-file=x"}, "with --service-account-signing-key-file it manages none: leave out one of them"},
		{[]string{"--signing-key-lead-time=1s"}, ""},
	} {
		o, err := parseKeyFlags(test.args...)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, err := range o.validateKeys() {
			texts = append(texts, err.Error())
		}
		if got := strings.Join(texts, "\n"); test.want == "" && got != "" || !strings.Contains(got, test.want) {
			t.Errorf("%q: error %q, want %q", test.args, got, test.want)
		}
	}
}
