package main

import (
	"bytes"
	"encoding/pem"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

const (
	imageName = "ghcr.io/mintmark/mintmark"
	// imageUser is the user that the manifests of contrib/kubernetes name, and by custom that of images without a root user.
	imageUser = 65532
	imageHome = "/var/lib/mintmark"
)

// image is the container image of a platform.
type image struct {
	binary
	v1.Image
}

// newImage makes an image of two layers over nothing: the roots of public authorities, which change seldom, and the program.
func newImage(b binary) (image, error) {
	base := []entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, text: []byte("root:x:0:0:root:/root:/sbin/nologin\nmintmark:x:65532:65532:mintmark:" + imageHome + ":/sbin/nologin\n")},
		{name: "etc/group", mode: 0o644, text: []byte("root:x:0:\nmintmark:x:65532:\n")},
		{name: "etc/ssl/", mode: 0o755},
		{name: "etc/ssl/certs/", mode: 0o755},
		{name: "etc/ssl/certs/ca-certificates.crt", mode: 0o644, text: publicRoots()},
		{name: "tmp/", mode: 0o1777},
		{name: "var/", mode: 0o755},
		{name: "var/lib/", mode: 0o755},
		{name: imageHome[1:] + "/", mode: 0o700, uid: imageUser},
	}
	program := []entry{
		{name: "usr/", mode: 0o755},
		{name: "usr/bin/", mode: 0o755},
		{name: "usr/bin/mintmark", mode: 0o755, file: b.file},
	}
	made := mutate.MediaType(empty.Image, types.OCIManifestSchema1)
	made = mutate.ConfigMediaType(made, types.OCIConfigJSON)
	for _, entries := range [][]entry{base, program} {
		layer, err := newLayer(entries, b.time)
		if err != nil {
			return image{}, err
		}
		made, err = mutate.Append(made, mutate.Addendum{Layer: layer, History: v1.History{Created: v1.Time{Time: b.time}, CreatedBy: "tools/release"}})
		if err != nil {
			return image{}, err
		}
	}
	file, err := made.ConfigFile()
	if err != nil {
		return image{}, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture, file.Created, file.Config = b.system, b.architecture, v1.Time{Time: b.time}, imageConfig(b)
	made, err = mutate.ConfigFile(made, file)
	return image{b, made}, err
}

func imageConfig(b binary) v1.Config {
	return v1.Config{
		User:         "65532:65532",
		Entrypoint:   []string{"/usr/bin/mintmark"},
		Env:          []string{"PATH=/usr/bin", "HOME=" + imageHome, "SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt"},
		WorkingDir:   imageHome, // "mintmark serve" keeps its data in ./mintmark-data, and "mintmark health" looks there
		Volumes:      map[string]struct{}{imageHome: {}},
		ExposedPorts: map[string]struct{}{"7443/tcp": {}},
		StopSignal:   "SIGTERM",
		// Docker asks this; Kubernetes has probes of its own.
		Healthcheck: &v1.HealthConfig{
			Test:     []string{"CMD", "/usr/bin/mintmark", "health"},
			Interval: 10 * time.Second, Timeout: 5 * time.Second, StartPeriod: 5 * time.Minute, Retries: 3,
		},
		Labels: map[string]string{
			"org.opencontainers.image.title":    "Mintmark",
			"org.opencontainers.image.source":   "https://github.com/mintmark/mintmark",
			"org.opencontainers.image.licenses": "Apache-2.0",
			"org.opencontainers.image.version":  b.version,
			"org.opencontainers.image.revision": b.revision,
			"org.opencontainers.image.created":  b.time.UTC().Format(time.RFC3339),
		},
	}
}

func newLayer(entries []entry, modified time.Time) (v1.Layer, error) {
	var text bytes.Buffer
	if err := writeTar(&text, entries, modified); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(text.Bytes())), nil },
		tarball.WithMediaType(types.OCILayer), tarball.WithCompressedCaching)
}

// publicRoots returns Mozilla's roots, for issuers and webhooks with public certificates. Those that Mozilla trusts only in part are left
// out, since a file of certificates can't say so.
func publicRoots() []byte {
	var text bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			_ = pem.Encode(&text, &pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}) // a buffer takes everything
		}
	}
	return text.Bytes()
}

// writeImages writes mintmark_image.tar, an OCI image layout that holds one index of the images of all platforms, and returns its digest.
// The docker and podman commands load it, and crane pushes it.
func (r *release) writeImages(images []image) (v1.Hash, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	for _, i := range images {
		platform := &v1.Platform{OS: i.system, Architecture: i.architecture}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: i.Image, Descriptor: v1.Descriptor{Platform: platform}})
	}
	dir, err := os.MkdirTemp("", "mintmark-image-")
	if err != nil {
		return v1.Hash{}, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return v1.Hash{}, err
	}
	version := images[0].version
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": version,
		"io.containerd.image.name":          imageName + ":" + version,
	}))
	if err != nil {
		return v1.Hash{}, err
	}
	var entries []entry
	err = filepath.WalkDir(dir, func(file string, found os.DirEntry, err error) error {
		if err != nil || file == dir {
			return err
		}
		name, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		if found.IsDir() {
			entries = append(entries, entry{name: filepath.ToSlash(name) + "/", mode: 0o755})
		} else {
			entries = append(entries, entry{name: filepath.ToSlash(name), mode: 0o644, file: file})
		}
		return nil
	})
	if err != nil {
		return v1.Hash{}, err
	}
	var text bytes.Buffer
	if err := writeTar(&text, entries, images[0].time); err != nil {
		return v1.Hash{}, err
	}
	if err := r.write("mintmark_image.tar", text.Bytes()); err != nil {
		return v1.Hash{}, err
	}
	return index.Digest()
}
