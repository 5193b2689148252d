package apiserver

import (
	"net"
	"os"
	"slices"
)

// externalHost is the name or address under which others reach the server.
func externalHost(cfg Config) string {
	switch {
	case cfg.Server.ExternalHost != "":
		return cfg.Server.ExternalHost
	case len(cfg.Server.AdvertiseAddress) > 0:
		return cfg.Server.AdvertiseAddress.String()
	case !cfg.Serving.BindAddress.IsUnspecified():
		return cfg.Serving.BindAddress.String()
	}
	if name, err := os.Hostname(); err == nil {
		return name
	}
	return reachable(cfg.Serving.BindAddress)
}

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
	external := externalHost(cfg)
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
