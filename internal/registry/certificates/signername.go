package certificates

import (
	"fmt"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The longest domain, and the longest name, of a signer. The part after the slash is a label, a dot and a subdomain at most.
const (
	maxDomain     = validation.DNS1123SubdomainMaxLength
	maxSignerName = maxDomain + len("/") + validation.DNS1123LabelMaxLength + len(".") + validation.DNS1123SubdomainMaxLength
)

// validateSignerName checks that a signer's name is a domain with a dot, a slash and a path.
func validateSignerName(path *field.Path, name string) field.ErrorList {
	if name == "" {
		return field.ErrorList{field.Required(path, "")}
	}
	domain, rest, ok := strings.Cut(name, "/")
	if !ok || strings.Contains(rest, "/") {
		return field.ErrorList{field.Invalid(path, name, "must be a fully qualified domain and path of the form 'example.com/signer-name'")}
	}
	var errs field.ErrorList
	if len(domain) > maxDomain {
		errs = append(errs, field.TooLong(path, "", maxDomain))
	}
	errs = append(errs, firstWrongLabel(path, domain, validation.IsDNS1123Label)...)
	if !strings.Contains(domain, ".") {
		errs = append(errs, field.Invalid(path, domain, "should be a domain with at least two segments separated by dots"))
	}
	errs = append(errs, firstWrongLabel(path, rest, validation.IsDNS1123Subdomain)...)
	if len(name) > maxSignerName {
		errs = append(errs, field.TooLong(path, "", maxSignerName))
	}
	return errs
}

// firstWrongLabel returns what is wrong about the first part of a name that check has something against. Parts are separated
// by dots.
func firstWrongLabel(path *field.Path, name string, check func(string) []string) field.ErrorList {
	for label := range strings.SplitSeq(name, ".") {
		if problems := check(label); len(problems) > 0 {
			var errs field.ErrorList
			for _, problem := range problems {
				errs = append(errs, field.Invalid(path, name, fmt.Sprintf("validating label %q: %s", label, problem)))
			}
			return errs
		}
	}
	return nil
}
