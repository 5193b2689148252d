package apiserver

import (
	"slices"

	"github.com/mintmark/mintmark/internal/datadir"
)

// about is what a server tells people of itself.
type about struct {
	url, issuer, kubeconfig string
	rootCA                  []byte
	made                    []string
}

func newAbout(g *ground) about {
	return about{
		url:        g.endpoint.wanted.Server,
		issuer:     g.keys.issuers[0],
		kubeconfig: g.dir.Path(datadir.AdminKubeconfig),
		rootCA:     g.endpoint.files.RootCA,
		made:       slices.Concat(g.endpoint.files.Made, g.keys.made),
	}
}

// URL is where this machine reaches the server.
func (a *about) URL() string { return a.url }

// Issuer is the issuer of new tokens.
func (a *about) Issuer() string { return a.issuer }

// RootCA is the PEM by which clients know the server.
func (a *about) RootCA() []byte { return a.rootCA }

// Kubeconfig is the file with which an administrator reaches the server.
func (a *about) Kubeconfig() string { return a.kubeconfig }

// Made are the files that this start has made.
func (a *about) Made() []string { return a.made }
