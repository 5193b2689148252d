package conformance

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Known lists the scenarios that do not pass yet, by reason. A reason names the missing capability.
type Known struct {
	Fails map[string][]string `json:"fails"` // scenarios that are played and must fail
	Skips map[string][]string `json:"skips"` // scenarios, or folders/, for which the server can't be started yet
}

// LoadKnown reads the list from a YAML file.
func LoadKnown(file string) (*Known, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	k := &Known{}
	if err := yaml.UnmarshalStrict(text, k); err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	return k, nil
}

// Skipped returns why a scenario is not played, or nothing.
func (k *Known) Skipped(name string) (reason string) { return find(k.Skips, name) }

func find(list map[string][]string, name string) string {
	for reason, entries := range list {
		if slices.ContainsFunc(entries, func(entry string) bool { return covers(entry, name) }) {
			return reason
		}
	}
	return ""
}

// covers tells whether an entry names a scenario or a folder around it.
func covers(entry, name string) bool {
	return entry == name || strings.HasSuffix(entry, "/") && strings.HasPrefix(name, entry)
}

// Judge turns the outcome of a scenario into a verdict: the reason why it may fail, or an error when it fails without
// being listed or passes though it is.
func (k *Known) Judge(name string, failures []Failure) (reason string, err error) {
	reason = find(k.Fails, name)
	switch {
	case reason != "" && len(failures) == 0:
		return "", fmt.Errorf("passes, so take it off the list of known failures (%s)", reason)
	case reason != "" || len(failures) == 0:
		return reason, nil
	}
	for _, f := range failures {
		err = errors.Join(err, errors.New(f.String()))
	}
	return "", err
}

// Check finds mistakes in the list: entries that fit none of the scenarios' names, that are listed twice or without a
// reason, and folders among the failures, which must be named one by one.
func (k *Known) Check(names []string) error {
	var errs []error
	seen := map[string]bool{}
	for _, list := range []map[string][]string{k.Fails, k.Skips} {
		for reason, entries := range list {
			for _, entry := range entries {
				switch {
				case seen[entry]:
					errs = append(errs, fmt.Errorf("%s is listed twice", entry))
				case strings.TrimSpace(reason) == "":
					errs = append(errs, fmt.Errorf("%s is listed without a reason", entry))
				case !slices.ContainsFunc(names, func(name string) bool { return covers(entry, name) }):
					errs = append(errs, fmt.Errorf("%s is listed, but there is no such scenario", entry))
				}
				seen[entry] = true
			}
		}
	}
	for _, name := range names {
		if find(k.Fails, name) != "" && !seen[name] {
			errs = append(errs, fmt.Errorf("%s fails as part of a folder, list it by its own name", name))
		}
		if find(k.Fails, name) != "" && find(k.Skips, name) != "" {
			errs = append(errs, fmt.Errorf("%s is listed both as failing and as skipped", name))
		}
	}
	return errors.Join(errs...)
}
