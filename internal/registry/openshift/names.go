package openshift

import (
	"strings"

	"k8s.io/apimachinery/pkg/api/validate/content"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

var metadataPath = field.NewPath("metadata")

// validatePathSegment allows any path segment, or with prefix the beginning of one for a generated name.
func validatePathSegment(name string, prefix bool) []string {
	if prefix {
		return content.IsPathSegmentPrefix(name)
	}
	return content.IsPathSegmentName(name)
}

// encodedPrefix begins names of users that are encoded since they would not be good names otherwise.
const encodedPrefix = "b64:"

// validateUserName allows almost any name that fits into a path. A colon separates it from other names elsewhere, and ~ is
// the caller.
func validateUserName(name string, prefix bool) []string {
	if problems := validatePathSegment(name, prefix); len(problems) != 0 {
		return problems
	}
	if strings.Contains(name, ":") && !strings.HasPrefix(name, encodedPrefix) {
		return []string{`usernames that contain ":" must begin with "` + encodedPrefix + `"`}
	}
	if name == "~" {
		return []string{`may not equal "~"`}
	}
	return nil
}
