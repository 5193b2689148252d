package openshift

import (
	"fmt"
	"net/url"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/apiserver/pkg/authentication/serviceaccount"

	"github.com/mintmark/mintmark/internal/oauth"
)

const (
	// minTokenName is how long the name of a token object is at least. A hash has more.
	minTokenName = 32
	// maxExpiresIn is the longest life of a token that etcd can keep: its leases end within nine billion seconds, and the
	// library adds up to a minute.
	maxExpiresIn = 9_000_000_000 - 60
	// bootstrapUser is a user without an object. Tokens may be theirs all the same.
	bootstrapUser = "kube:admin"
)

var (
	userNamePath    = field.NewPath("userName")
	userUIDPath     = field.NewPath("userUID")
	scopesPath      = field.NewPath("scopes")
	redirectURIPath = field.NewPath("redirectURI")
	expiresInPath   = field.NewPath("expiresIn")
	// wholeObject is where errors are that are about no field in particular.
	wholeObject = field.NewPath("")
)

// validateTokenName allows names that are made from a token by hashing it. That they are hashes can't be seen.
func validateTokenName(name string, prefix bool) []string {
	if problems := validatePathSegment(name, prefix); len(problems) != 0 {
		return problems
	}
	if len(name) < minTokenName {
		return []string{fmt.Sprintf("must be at least %d characters long", minTokenName)}
	}
	if !strings.HasPrefix(name, oauth.Prefix) {
		return []string{"only the new format of tokens (prefixed with " + oauth.Prefix + ") is allowed"}
	}
	return nil
}

func validateClientName(name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(clientNamePath, "")}
	}
	check := validation.NameIsDNSSubdomain
	checked := name
	if _, account, err := serviceaccount.SplitUsername(name); err == nil {
		check, checked = validation.ValidateServiceAccountName, account
	}
	return joined(clientNamePath, name, check(checked, false))
}

// validateGrantee checks the name of a user who has, or has granted, a token.
func validateGrantee(name string) field.ErrorList {
	switch name {
	case "":
		return field.ErrorList{field.Required(userNamePath, "")}
	case bootstrapUser:
		return nil
	}
	return joined(userNamePath, name, validateUserName(name, false))
}

// joined is one error with all that is wrong with a value.
func joined(at *field.Path, value string, problems []string) field.ErrorList {
	if len(problems) == 0 {
		return nil
	}
	return field.ErrorList{field.Invalid(at, value, strings.Join(problems, ", "))}
}

func required(at *field.Path, value string) field.ErrorList {
	if value == "" {
		return field.ErrorList{field.Required(at, "")}
	}
	return nil
}

// validateRedirectURI checks a redirect URI. A fragment would hide parameters that are added, and dots in the path change
// the path.
func validateRedirectURI(uri string, at *field.Path) field.ErrorList {
	if problem := redirectURIProblem(uri); problem != "" {
		return field.ErrorList{field.Invalid(at, uri, problem)}
	}
	return nil
}

func redirectURIProblem(uri string) string {
	if uri == "" {
		return "may not be empty"
	}
	parsed, err := url.Parse(uri)
	if err != nil {
		return err.Error()
	}
	if parsed.Fragment != "" {
		return "may not contain a fragment"
	}
	for segment := range strings.SplitSeq(parsed.Path, "/") {
		if segment == "." || segment == ".." {
			return "may not contain a path segment of " + segment
		}
	}
	return ""
}

// validateLife checks the life of a token in seconds.
func validateLife(seconds int64) field.ErrorList {
	if seconds > maxExpiresIn {
		return field.ErrorList{field.Invalid(expiresInPath, seconds, fmt.Sprintf("cannot be more than %d", int64(maxExpiresIn)))}
	}
	return nil
}

// immutable is the error of an object that was changed where it can't be. It doesn't show the object, since tokens
// hold codes and secrets.
func immutable() *field.Error {
	return field.Invalid(wholeObject, field.OmitValueType{}, validation.FieldImmutableErrorMsg)
}
