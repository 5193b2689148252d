package options

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"regexp"
	"strconv"
	"strings"

	"github.com/mintmark/mintmark/internal/apiserver"
)

// externalHost returns the name or address under which others reach the server, with a port if one is given: what
// certificates and the issuer follow from. Whatever it follows from itself, it has to be good for both.
func externalHost(cfg *apiserver.Config) (string, error) {
	source, value := "--external-hostname", cfg.Server.ExternalHost
	switch {
	case value != "":
	case len(cfg.Server.AdvertiseAddress) > 0:
		source, value = "--advertise-address", cfg.Server.AdvertiseAddress.String()
	case !cfg.Serving.BindAddress.IsUnspecified():
		source, value = "--bind-address", cfg.Serving.BindAddress.String()
	default:
		name, err := os.Hostname()
		if err != nil {
			return "", fmt.Errorf("the machine's host name can't be read (%w): give --external-hostname", err)
		}
		source, value = "the machine's host name, which stands for --external-hostname,", name
	}
	host, err := parseHost(value)
	if err != nil {
		return "", fmt.Errorf("%s must be a host name or an IP address, with a port or without: %q %w", source, value, err)
	}
	return host, nil
}

// label is a part of a host name. Underscores are not for host names, but common in those of containers.
var label = regexp.MustCompile(`^[A-Za-z0-9_]([A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?$`)

// maxHostName is the longest host name (RFC 1035 section 2.3.4).
const maxHostName = 253

// parseHost returns a host, or a host and a port. Brackets around an IPv6 address without a port are left out.
func parseHost(text string) (string, error) {
	switch {
	case strings.Contains(text, "://"):
		return "", errors.New("is a URL: leave out the part up to the slashes")
	case strings.Contains(text, "/"):
		return "", errors.New("has a path: leave it out")
	case strings.TrimSpace(text) != text:
		return "", errors.New("has white space around it")
	}
	host, port := text, ""
	switch bare := strings.TrimSuffix(strings.TrimPrefix(text, "["), "]"); {
	case len(text)-len(bare) == 2: // both
		host = bare
		if !strings.Contains(host, ":") {
			return "", errors.New("has brackets, which are for IPv6 addresses only")
		}
	case strings.HasPrefix(text, "["), strings.Count(text, ":") == 1:
		var err error
		if host, port, err = net.SplitHostPort(text); err != nil {
			return "", errors.New("is neither")
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || strconv.FormatUint(n, 10) != port {
			return "", errors.New("has a port that is no number from 1 to 65535")
		}
	}
	host, err := checkHost(host)
	if err != nil || port == "" {
		return host, err
	}
	return net.JoinHostPort(host, port), nil
}

// checkHost returns a host as it is written in certificates.
func checkHost(host string) (string, error) {
	if address, err := netip.ParseAddr(host); err == nil {
		switch {
		case address.Zone() != "":
			return "", errors.New("has a zone, which means nothing to other machines")
		case address.IsUnspecified():
			return "", errors.New("is the address of no machine")
		}
		return address.String(), nil
	}
	if strings.Contains(host, ":") {
		return "", errors.New("is neither")
	}
	if strings.HasSuffix(host, ".") {
		return "", errors.New("has a dot at its end: leave it out")
	}
	if len(host) > maxHostName {
		return "", fmt.Errorf("has %d characters, more than a host name can have", len(host))
	}
	for part := range strings.SplitSeq(host, ".") {
		if !label.MatchString(part) {
			return "", errors.New("is neither (a host name has letters, digits, dots and dashes; others are written in Punycode, xn--…)")
		}
	}
	return host, nil
}
