package options

import "github.com/spf13/pflag"

// usage replaces the library's texts that are not true of this server.
var usage = map[string]string{
	"bind-address": "IP address to listen on. 0.0.0.0 and :: are all addresses of the machine.",
	"secure-port":  "Port to listen on, with TLS. 0 takes a free port, and the start says which.",
	"tls-cert-file": "PEM file of the serving certificate, followed by the certificates between it and its authority. " +
		"Default: a certificate that is made in the data directory.",
	"tls-private-key-file": "PEM file of the private key of --tls-cert-file.",
	"external-hostname": "Name or IP address under which others reach the server, with a port if that is not --secure-port. " +
		"It stands in the serving certificate, and in the issuer unless --service-account-issuer is given. " +
		"Default: --advertise-address, else --bind-address, else the machine's host name.",
	"advertise-address":              "IP address under which others reach the server, if --external-hostname is not given.",
	"max-requests-inflight":          "Most requests that only read, and are answered at a time. 0 means no limit.",
	"max-mutating-requests-inflight": "Most requests that write, token requests and reviews among them, and are answered at a time. 0 means no limit.",
	"etcd-servers":                   "Servers of an external etcd, comma separated. Default: an embedded one in the data directory, without a port.",
	"watch-cache":                    "Hold all objects in memory for watches and lists. Decisions have views of their own.",
	"encryption-provider-config":     "File with an EncryptionConfiguration: how objects and private keys are encrypted before they are stored. With --etcd-servers it must encrypt signingkeys.mintmark.io or secrets.",
}

// pick takes those flags of the library that mean something here; the others are refused as unknown.
func pick(to *pflag.FlagSet, add func(*pflag.FlagSet), names ...string) {
	library := pflag.NewFlagSet("", pflag.ContinueOnError)
	add(library)
	for _, name := range names {
		flag := library.Lookup(name)
		if text, ok := usage[name]; ok {
			flag.Usage = text
		}
		to.AddFlag(flag)
	}
}
