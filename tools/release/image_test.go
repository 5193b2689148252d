package main

import (
	"archive/tar"
	"errors"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// testImage reads the image as a container runtime would, and runs the program in its files as its user.
func testImage(t *testing.T, dir, program string) {
	image := readImage(t, dir)
	file, err := image.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	config := file.Config
	got := []any{file.OS, file.Architecture, config.User, config.Entrypoint, config.Cmd, config.WorkingDir, config.Healthcheck.Test, config.Labels["org.opencontainers.image.source"]}
	want := []any{
		"linux", runtime.GOARCH, "65532:65532",
		[]string{"/usr/bin/mintmark"},
		[]string(nil), "/var/lib/mintmark",
		[]string{"CMD", "/usr/bin/mintmark", "health"},
		"https://github.com/mintmark/mintmark",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	root := extract(t, image)
	if read(t, root, "usr/bin/mintmark") != read(t, "", program) {
		t.Error("the program is another one than in the archive")
	}
	if n := certificates([]byte(read(t, root, "etc/ssl/certs/ca-certificates.crt"))); n < 100 {
		t.Errorf("%d public authorities", n)
	}
	if os.Getuid() != 0 {
		t.Skip("only root can run a program in the files of an image; the same program was started above")
	}
	for dir := root; dir != "/"; dir = filepath.Dir(dir) { // the user of the image has to get there
		info, err := os.Stat(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, info.Mode().Perm()|0o111); err != nil {
			t.Fatal(err)
		}
		if dir == os.TempDir() {
			break
		}
	}
	testStarts(t, command{
		path: "/usr/bin/mintmark", data: "mintmark-data", dir: config.WorkingDir, env: config.Env,
		process: &syscall.SysProcAttr{Chroot: root, Credential: &syscall.Credential{Uid: imageUser, Gid: imageUser}},
	})
}

// readImage unpacks the layout and checks all digests in it.
func readImage(t *testing.T, dir string) v1.Image {
	t.Helper()
	unpacked := t.TempDir()
	output(t, unpacked, "tar", "-xf", filepath.Join(dir, "mintmark_image.tar"))
	outer, err := layout.ImageIndexFromPath(unpacked)
	if err != nil {
		t.Fatal(err)
	}
	manifest, err := outer.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	if name := manifest.Manifests[0].Annotations["io.containerd.image.name"]; !strings.HasPrefix(name, imageName+":v") {
		t.Errorf("the image is called %q", name)
	}
	index, err := outer.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(index); err != nil {
		t.Error(err)
	}
	if manifest, err = index.IndexManifest(); err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	image, err := index.Image(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// extract writes the files of an image below a new directory. Only the user's own directory belongs to the user: the rest can't be
// written, as with a read-only root file system.
func extract(t *testing.T, image v1.Image) string {
	t.Helper()
	root := t.TempDir()
	files := mutate.Extract(image)
	defer files.Close()
	for archive := tar.NewReader(files); ; {
		header, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return root
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(root, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o700)
		} else if text, readErr := io.ReadAll(archive); readErr != nil {
			err = readErr
		} else {
			err = os.WriteFile(path, text, 0o600)
		}
		if err != nil {
			t.Fatal(err)
		}
		if os.Getuid() == 0 {
			err = os.Chown(path, header.Uid, header.Gid)
		}
		if err := errors.Join(err, os.Chmod(path, header.FileInfo().Mode())); err != nil {
			t.Fatal(err)
		}
		if owner := header.Uid; (owner == imageUser) != (header.Name == imageHome[1:]+"/" || header.Name == imageHome[1:]) {
			t.Errorf("%s belongs to %d", header.Name, owner)
		}
	}
}
