package apiserver

import (
	"slices"

	"github.com/mintmark/mintmark/internal/datadir"
)

// about is what a server tells people of itself.
type about struct {
	url, issuer, kubeconfig string
	keepsIssuer             bool
	rootCA                  []byte
	made                    []string
}

func newAbout(g *ground, tokens Tokens) about {
	return about{
		url:    g.endpoint.wanted.Server,
		issuer: g.keys.issuers[0],
		// A first start without the flag would have taken the server's URL.
		keepsIssuer: len(tokens.Issuers) == 0 && g.identity.Issuer() != g.endpoint.url(),
		kubeconfig:  g.dir.Path(datadir.AdminKubeconfig),
		rootCA:      g.endpoint.files.RootCA,
		made:        slices.Concat(g.endpoint.files.Made, g.made),
	}
}

// URL is where this machine reaches the server.
func (a *about) URL() string { return a.url }

// Issuer is the issuer of new tokens.
func (a *about) Issuer() string { return a.issuer }

// KeepsIssuer reports whether the issuer is neither that of the flags nor the URL of this server, but the one that the store has
// from an earlier start.
func (a *about) KeepsIssuer() bool { return a.keepsIssuer }

// RootCA is the PEM by which clients know the server.
func (a *about) RootCA() []byte { return a.rootCA }

// Kubeconfig is the file with which an administrator reaches the server.
func (a *about) Kubeconfig() string { return a.kubeconfig }

// Made are the files that this start has made.
func (a *about) Made() []string { return a.made }
