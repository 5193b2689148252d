package outbound

import (
	"net/netip"
	"strings"
	"testing"
)

// TestAddresses: the addresses that a call which an object causes may reach are the public ones.
func TestAddresses(t *testing.T) {
	for _, test := range []struct{ address, kind string }{
		{"8.8.8.8", ""},
		{"2606:4700:4700::1111", ""},
		{"172.15.255.255", ""},
		{"172.32.0.0", ""},
		{"100.63.255.255", ""},
		{"100.128.0.0", ""},
		{"198.17.255.255", ""},
		{"223.255.255.255", ""},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"::1", "loopback"},
		{"0.0.0.0", "unspecified"},
		{"0.1.2.3", "unspecified"},
		{"::", "unspecified"},
		{"10.0.0.0", "private"},
		{"10.255.255.255", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"100.64.0.1", "private"},
		{"100.127.255.255", "private"},
		{"fc00::1", "private"},
		{"fdff::1", "private"},
		{"fec0::1", "private"},
		{"64:ff9b:1::808:808", "private"},
		{"169.254.0.1", "link-local"},
		{"fe80::1", "link-local"},
		{"fe80::1%eth0", "link-local"},
		{"febf::1", "link-local"},
		{"169.254.169.254", metadata},
		{"169.254.170.2", metadata},
		{"100.100.100.200", metadata},
		{"168.63.129.16", metadata},
		{"192.0.0.192", metadata},
		{"fd00:ec2::254", metadata},
		{"fd20:ce::254", metadata},
		{"192.0.2.1", "for documentation"},
		{"198.51.100.7", "for documentation"},
		{"203.0.113.255", "for documentation"},
		{"2001:db8::1", "for documentation"},
		{"3fff:fff::1", "for documentation"},
		{"198.18.0.1", "for benchmarks"},
		{"198.19.255.255", "for benchmarks"},
		{"2001:2::1", "for benchmarks"},
		{"224.0.0.1", "multicast"},
		{"239.255.255.255", "multicast"},
		{"ff02::1", "multicast"},
		{"255.255.255.255", "broadcast"},
		{"240.0.0.1", "reserved"},
		{"192.0.0.170", "reserved"},
		{"192.88.99.1", "reserved"},
		{"100::1", "reserved"},
		{"5f00::1", "reserved"},
		{"4000::1", "reserved"},
		{"8000::1", "reserved"},
		{"2606:4700::1%eth0", "of one link alone"},
		// Forms of IPv6 that hold an IPv4 address.
		{"::ffff:8.8.8.8", ""},
		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:10.1.2.3", "private"},
		{"::ffff:a9fe:a9fe", metadata},
		{"::127.0.0.1", "reserved"},
		{"::8.8.8.8", "reserved"},
		{"::ffff:0:127.0.0.1", "reserved"},
		{"64:ff9b::8.8.8.8", ""},
		{"64:ff9b::7f00:1", "loopback"},
		{"64:ff9b::169.254.169.254", metadata},
		{"64:ff9b::10.1.2.3", "private"},
		{"2002:808:808::1", ""},
		{"2002:7f00:1::1", "loopback"},
		{"2002:a01:203::1", "private"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "reserved"},
		{"2001:0:a01:203::1", "reserved"},
		{"2606:4700::5efe:10.1.2.3", "private"},
		{"2606:4700::200:5efe:8.8.8.8", ""},
		{"fe80::5efe:8.8.8.8", "link-local"},
	} {
		if kind := kindOf(netip.MustParseAddr(test.address), nil); kind != test.kind {
			t.Errorf("%s is %q, want %q", test.address, kind, test.kind)
		}
	}
}

// TestAllowedNetworks: --allow-private-issuers opens the networks that it names and no more.
func TestAllowedNetworks(t *testing.T) {
	for _, test := range []struct {
		networks, address string
		allowed           bool
	}{
		{"10.0.0.0/8", "10.1.2.3", true},
		{"10.0.0.0/8", "::ffff:10.1.2.3", true},
		{"10.0.0.0/8", "64:ff9b::10.1.2.3", true},
		{"10.0.0.0/8", "2002:a01:203::1", true},
		{"10.0.0.0/8", "192.168.0.1", false},
		{"10.0.0.0/8", "127.0.0.1", false},
		{"10.1.2.3/32,fd00::/8", "10.1.2.4", false},
		{"10.1.2.3/32,fd00::/8", "fd12::1", true},
		{"fe80::/10", "fe80::1%eth0", true},
		{"::1/128", "127.0.0.1", false},
		{"127.0.0.0/8", "::1", false},
		// A network around a metadata service does not open it.
		{"169.254.0.0/16", "169.254.1.1", true},
		{"169.254.0.0/16", "169.254.169.254", false},
		{"100.64.0.0/10", "100.100.100.200", false},
		{"fc00::/7", "fd00:ec2::254", false},
		{"169.254.169.254/32", "169.254.169.254", true},
		{"168.63.129.16/32", "168.63.129.16", true},
	} {
		networks, err := ParseNetworks(strings.Split(test.networks, ","))
		if err != nil {
			t.Errorf("%s: %v", test.networks, err)
		} else if kind := kindOf(netip.MustParseAddr(test.address), networks); (kind == "") != test.allowed {
			t.Errorf("%s with %s: %q", test.address, test.networks, kind)
		}
	}
}

// TestNetworkErrors: a network that can't be meant is refused with what to write.
func TestNetworkErrors(t *testing.T) {
	for text, want := range map[string]string{
		"":                       `is no CIDR`,
		"private":                `is no CIDR`,
		"10.0.0.0/33":            `is no CIDR`,
		"010.0.0.0/8":            `is no CIDR`,
		"10.1.2.3":               `write 10.1.2.3/32 for this one address`,
		"fd00::1":                `write fd00::1/128 for this one address`,
		"::ffff:10.1.2.3":        `write 10.1.2.3/32 for this one address`,
		"10.1.2.3/8":             `has bits behind its length: write 10.0.0.0/8`,
		"::ffff:10.0.0.0/104":    `write it as in 10.0.0.0/8`,
		"0.0.0.0/0":              `holds addresses that need no permission`,
		"::/0":                   `holds addresses that need no permission`,
		"8.8.8.8/32":             `holds addresses that need no permission`,
		"8.0.0.0/6":              `holds addresses that need no permission`,
		"64:ff9b::/96":           `holds addresses that need no permission`,
		"64::/16":                `holds addresses that need no permission`,
		"2002::/16":              `holds addresses that need no permission`,
		"fe80::%eth0/64":         `is no CIDR`,
		strings.Repeat("a", 4e3): `(4000 bytes in all)`,
	} {
		networks, err := ParseNetworks([]string{"10.0.0.0/8", text})
		if err == nil || !strings.Contains(err.Error(), want) || len(err.Error()) > 2*maxText {
			t.Errorf("%.40s: %v, %v", text, networks, err)
		}
	}
}
