package outbound

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// special are the networks whose addresses a call that a stored object causes may not reach, the narrower ones first: IANA's
// registries of special-purpose addresses (RFC 6890), the addresses at which clouds serve credentials, and all addresses outside
// IPv6's global unicast ones.
var special = []struct {
	network netip.Prefix
	kind    string
}{
	{netip.MustParsePrefix("169.254.169.254/32"), metadata},
	{netip.MustParsePrefix("169.254.170.2/32"), metadata},   // of AWS for containers
	{netip.MustParsePrefix("169.254.170.23/32"), metadata},  // of AWS for EKS
	{netip.MustParsePrefix("100.100.100.200/32"), metadata}, // of Alibaba Cloud
	{netip.MustParsePrefix("168.63.129.16/32"), metadata},   // of Azure, and public by its number
	{netip.MustParsePrefix("192.0.0.192/32"), metadata},     // of Oracle Cloud
	{netip.MustParsePrefix("fd00:ec2::/112"), metadata},     // of AWS
	{netip.MustParsePrefix("fd20:ce::254/128"), metadata},   // of Google Cloud
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},     // Linux takes 0.0.0.0 for itself
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "private"}, // RFC 6598: shared with the network's operator
	{netip.MustParsePrefix("192.0.2.0/24"), "for documentation"},
	{netip.MustParsePrefix("198.51.100.0/24"), "for documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "for documentation"},
	{netip.MustParsePrefix("198.18.0.0/15"), "for benchmarks"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.88.99.0/24"), "reserved"}, // RFC 7526: relays of 6to4, no longer used
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("255.255.255.255/32"), "broadcast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fec0::/10"), "private"}, // RFC 3879: site-local, no longer used
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	{netip.MustParsePrefix("64:ff9b:1::/48"), "private"}, // RFC 8215: translated to whatever a network likes
	{netip.MustParsePrefix("2001:db8::/32"), "for documentation"},
	{netip.MustParsePrefix("3fff::/20"), "for documentation"},
	{netip.MustParsePrefix("2001:2::/48"), "for benchmarks"},
	{netip.MustParsePrefix("2001::/23"), "reserved"}, // Teredo, ORCHID and others
	{netip.MustParsePrefix("::/3"), "reserved"},      // IPv4-compatible and translated addresses among them
	{netip.MustParsePrefix("4000::/2"), "reserved"},
	{netip.MustParsePrefix("8000::/1"), "reserved"},
}

const metadata = "the one at which a cloud serves credentials"

var (
	// nat64 holds IPv4 addresses in its last 32 bits (RFC 6052).
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// sixToFour holds them behind its first 16 bits (RFC 3056).
	sixToFour = netip.MustParsePrefix("2002::/16")
)

// RefusedAddress is the error of a call to an address that only --allow-private-issuers may open.
type RefusedAddress struct {
	// Host is what was to be called: a name, or the address itself.
	Host string
	// Address is the one that was dialed, with its zone.
	Address netip.Addr
	// Kind says of which kind it is, for people.
	Kind string
}

// Error says what to do.
func (r *RefusedAddress) Error() string {
	address := "the address " + r.Address.String()
	if parsed, err := netip.ParseAddr(r.Host); err != nil || parsed != r.Address {
		address += " of " + Shorten(r.Host)
	}
	return fmt.Sprintf("%s is %s: name it in --allow-private-issuers if it is meant", address, r.Kind)
}

// IsPublic reports whether an address is one that a stored object may have called without --allow-private-issuers.
func IsPublic(address netip.Addr) bool { return kindOf(address, nil) == "" }

// kindOf returns the kind of an address that may not be called, or nothing. An address that holds an IPv4 address is judged by that
// one as well, since a gateway takes the call there.
func kindOf(dialed netip.Addr, allowed []netip.Prefix) string {
	address := dialed.Unmap().WithZone("")
	if inner, ok := embedded(address); ok {
		kind := kindOf(inner, allowed)
		if kind != "" || nat64.Contains(address) {
			return kind
		}
	}
	for _, s := range special {
		if s.network.Contains(address) {
			if opens(allowed, address, s.kind) {
				return ""
			}
			return s.kind
		}
	}
	if dialed.Zone() != "" {
		return "of one link alone"
	}
	return ""
}

// opens reports whether one of the networks opens an address. The address of a metadata service must be named alone: a network
// that it happens to lie in does not mean it.
func opens(allowed []netip.Prefix, address netip.Addr, kind string) bool {
	return slices.ContainsFunc(allowed, func(network netip.Prefix) bool {
		return network.Contains(address) && (kind != metadata || network.IsSingleIP())
	})
}

// embedded returns the IPv4 address that an IPv6 address stands for on the way.
func embedded(address netip.Addr) (netip.Addr, bool) {
	if !address.Is6() {
		return netip.Addr{}, false
	}
	b := address.As16()
	switch {
	case nat64.Contains(address):
		return netip.AddrFrom4([4]byte(b[12:])), true
	case sixToFour.Contains(address):
		return netip.AddrFrom4([4]byte(b[2:6])), true
	// RFC 5214 section 6.1: ISATAP, in any network.
	case b[8]&^2 == 0 && b[9] == 0 && b[10] == 0x5e && b[11] == 0xfe:
		return netip.AddrFrom4([4]byte(b[12:])), true
	}
	return netip.Addr{}, false
}

// ParseNetworks reads the networks of --allow-private-issuers. A network must hold nothing but addresses that are refused without
// it: one that holds the whole Internet would open the addresses at which clouds serve credentials by the way.
func ParseNetworks(texts []string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, text := range texts {
		network, err := parseNetwork(strings.TrimSpace(text))
		if err != nil {
			return nil, err
		}
		networks = append(networks, network)
	}
	return networks, nil
}

func parseNetwork(text string) (netip.Prefix, error) {
	if address, err := netip.ParseAddr(text); err == nil && address.Zone() == "" {
		return netip.Prefix{}, fmt.Errorf("%q has no length: write %s for this one address", text, netip.PrefixFrom(address.Unmap(), address.Unmap().BitLen()))
	}
	network, err := netip.ParsePrefix(text)
	switch {
	case err != nil:
		return netip.Prefix{}, fmt.Errorf("%q is no CIDR: write a network and its length, as in 10.0.0.0/8 or fd00::/8", Shorten(text))
	case network != network.Masked():
		return netip.Prefix{}, fmt.Errorf("%q has bits behind its length: write %s", text, network.Masked())
	case network.Addr().Is4In6():
		return netip.Prefix{}, fmt.Errorf("%q is an IPv4 network in IPv6's notation: write it as in 10.0.0.0/8", text)
	}
	for _, s := range special {
		if s.network.Bits() <= network.Bits() && s.network.Contains(network.Addr()) && !network.Overlaps(nat64) {
			return network, nil
		}
	}
	return netip.Prefix{}, fmt.Errorf("%q holds addresses that need no permission: name the private networks that are meant, as in 10.0.0.0/8 or fd00::/8", text)
}
