package apiserver

import (
	"net"
	"slices"
)

// reachable is an address at which this machine reaches a server that listens on address.
func reachable(address net.IP) string {
	if address.IsUnspecified() {
		if address.To4() == nil {
			return net.IPv6loopback.String()
		}
		return "127.0.0.1"
	}
	return address.String()
}

// hosts are the names and addresses in the serving certificate.
func hosts(cfg Config) []string {
	external := cfg.Server.ExternalHost
	if host, _, err := net.SplitHostPort(external); err == nil {
		external = host
	}
	list := []string{"localhost", "127.0.0.1", "::1", external}
	if !cfg.Serving.BindAddress.IsUnspecified() {
		list = append(list, cfg.Serving.BindAddress.String())
	}
	slices.Sort(list)
	return slices.Compact(list)
}
