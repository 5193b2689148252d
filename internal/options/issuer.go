package options

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/spf13/pflag"
	apiserverapi "k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/plugin/pkg/authenticator/token/oidc"
	cliflag "k8s.io/component-base/cli/flag"
)

// issuerFlags describe one OpenID Connect issuer. A configuration file can describe many, and more of each.
type issuerFlags struct {
	url, clientID, caFile         string
	usernameClaim, usernamePrefix string
	groupsClaim, groupsPrefix     string
	algorithms                    []string
	requiredClaims                map[string]string
}

func newIssuerFlags() issuerFlags {
	return issuerFlags{usernameClaim: "sub", algorithms: []string{"RS256"}}
}

func (f *issuerFlags) add(fs *pflag.FlagSet) {
	fs.StringVar(&f.url, "oidc-issuer-url", f.url,
		"https URL of an OpenID Connect issuer whose tokens are accepted.")
	fs.StringVar(&f.clientID, "oidc-client-id", f.clientID,
		"Client id of the OpenID Connect issuer: the audience that its tokens must be for.")
	fs.StringVar(&f.caFile, "oidc-ca-file", f.caFile,
		"PEM bundle of authorities for the issuer's server. Default: those of the host.")
	fs.StringVar(&f.usernameClaim, "oidc-username-claim", f.usernameClaim,
		"Claim that is the user name.")
	fs.StringVar(&f.usernamePrefix, "oidc-username-prefix", f.usernamePrefix,
		"Put in front of the user name. '-' is nothing. Default: the issuer and '#', but nothing if the claim is email.")
	fs.StringVar(&f.groupsClaim, "oidc-groups-claim", f.groupsClaim,
		"Claim that is the user's groups: a text or a list of texts.")
	fs.StringVar(&f.groupsPrefix, "oidc-groups-prefix", f.groupsPrefix,
		"Put in front of each group.")
	fs.StringSliceVar(&f.algorithms, "oidc-signing-algs", f.algorithms,
		fmt.Sprintf("Algorithms that may sign the issuer's tokens, of %q.", oidc.AllValidSigningAlgorithms()))
	fs.Var(cliflag.NewMapStringStringNoSplit(&f.requiredClaims), "oidc-required-claim",
		"Claim that a token must have, as name=value. May be given several times.")
}

// given reports whether the flags describe an issuer. Values that are as they would be without a flag don't count, as
// in kube-apiserver.
func (f *issuerFlags) given() bool {
	d := newIssuerFlags()
	return f.url != d.url || f.clientID != d.clientID || f.caFile != d.caFile || f.usernameClaim != d.usernameClaim ||
		f.usernamePrefix != d.usernamePrefix || f.groupsClaim != d.groupsClaim || f.groupsPrefix != d.groupsPrefix ||
		len(f.requiredClaims) > 0 || !slices.Equal(f.algorithms, d.algorithms)
}

func (f *issuerFlags) validate() []error {
	if f.given() && (f.url == "" || f.clientID == "") {
		return []error{errors.New("oidc-issuer-url and oidc-client-id must be specified together when any oidc-* flags are set")}
	}
	return nil
}

// configuration returns the flags as an AuthenticationConfiguration.
func (f *issuerFlags) configuration() (*apiserverapi.AuthenticationConfiguration, error) {
	issuer := apiserverapi.JWTAuthenticator{
		Issuer: apiserverapi.Issuer{URL: f.url, Audiences: []string{f.clientID}},
		ClaimMappings: apiserverapi.ClaimMappings{
			Username: apiserverapi.PrefixedClaimOrExpression{Claim: f.usernameClaim, Prefix: new(f.prefix())},
		},
	}
	if f.groupsClaim != "" {
		issuer.ClaimMappings.Groups = apiserverapi.PrefixedClaimOrExpression{Claim: f.groupsClaim, Prefix: new(f.groupsPrefix)}
	}
	for _, claim := range slices.Sorted(maps.Keys(f.requiredClaims)) {
		issuer.ClaimValidationRules = append(issuer.ClaimValidationRules,
			apiserverapi.ClaimValidationRule{Claim: claim, RequiredValue: f.requiredClaims[claim]})
	}
	if f.caFile != "" {
		authorities, err := os.ReadFile(f.caFile)
		if err != nil {
			return nil, fmt.Errorf("--oidc-ca-file: %w", err)
		}
		issuer.Issuer.CertificateAuthority = string(authorities)
	}
	return &apiserverapi.AuthenticationConfiguration{JWT: []apiserverapi.JWTAuthenticator{issuer}}, nil
}

// prefix keeps users of one issuer apart from those of another, unless they are known by their e-mail address.
func (f *issuerFlags) prefix() string {
	switch {
	case f.usernamePrefix == "-":
		return ""
	case f.usernamePrefix != "":
		return f.usernamePrefix
	case f.usernameClaim == "email":
		return ""
	}
	return f.url + "#"
}
