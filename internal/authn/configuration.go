package authn

import (
	"errors"
	"fmt"
	"os"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/apis/apiserver"
	"k8s.io/apiserver/pkg/apis/apiserver/install"
	"k8s.io/apiserver/pkg/apis/apiserver/validation"
	authenticationcel "k8s.io/apiserver/pkg/authentication/cel"
)

// configurationCodecs reads AuthenticationConfiguration of every version, and refuses fields that it doesn't know.
var configurationCodecs = newConfigurationCodecs()

func newConfigurationCodecs() serializer.CodecFactory {
	s := runtime.NewScheme()
	install.Install(s)
	return serializer.NewCodecFactory(s, serializer.EnableStrict)
}

// ReadConfiguration reads the file of --authentication-config. It doesn't validate the content.
func ReadConfiguration(file string) (*apiserver.AuthenticationConfiguration, error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return parseConfiguration(data)
}

func parseConfiguration(data []byte) (*apiserver.AuthenticationConfiguration, error) {
	if len(data) == 0 {
		return nil, errors.New("empty config data")
	}
	obj, err := runtime.Decode(configurationCodecs.UniversalDecoder(), data)
	if err != nil {
		return nil, err
	}
	cfg, ok := obj.(*apiserver.AuthenticationConfiguration)
	if !ok {
		return nil, fmt.Errorf("expected AuthenticationConfiguration, got %T", obj)
	}
	return cfg, nil
}

// validateConfiguration returns the mistakes of a configuration. Issuers of service account tokens may not appear in it:
// another authenticator has their tokens.
func validateConfiguration(compiler authenticationcel.Compiler, cfg *apiserver.AuthenticationConfiguration, ownIssuers []string) error {
	errs := validation.ValidateAuthenticationConfiguration(compiler, cfg, ownIssuers)
	for i, jwt := range cfg.JWT {
		if kind := jwt.Issuer.EgressSelectorType; kind != "" {
			errs = append(errs, field.Forbidden(field.NewPath("jwt").Index(i).Child("issuer", "egressSelectorType"),
				"there are no egress selectors here; leave it out"))
		}
	}
	return errs.ToAggregate()
}
