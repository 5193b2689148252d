// Release builds what a tag publishes, from the commit that is checked out: archives, packages for Debian and Red Hat, a container
// image, bills of materials and checksums. Two runs for the same commit with the same Go release write the same bytes.
//
//	go run . -out ../../dist                         # everything
//	go run . -out /tmp/dist -platforms linux/amd64   # for one platform
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
)

// allPlatforms are those that a tag is built for.
const allPlatforms = "linux/amd64,linux/arm64,darwin/amd64,darwin/arm64"

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, out io.Writer) error {
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	repository := flags.String("repository", ".", "a directory of the repository that is built")
	dir := flags.String("out", "", "the directory that everything is written into; it must not exist yet")
	platforms := flags.String("platforms", allPlatforms, "what to build for, as OS/ARCHITECTURE,...")
	tag := flags.String("tag", "", "fail unless the commit that is built has this tag")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *dir == "" {
		return errors.New("name the directory to write into: -out DIR")
	}
	absolute, err := filepath.Abs(*dir)
	if err != nil {
		return err
	}
	r := release{repository: *repository, out: absolute}
	for name := range strings.SplitSeq(*platforms, ",") {
		system, architecture, ok := strings.Cut(name, "/")
		if !ok {
			return fmt.Errorf("%q is not a platform: write OS/ARCHITECTURE, such as linux/amd64", name)
		}
		r.platforms = append(r.platforms, platform{system, architecture})
	}
	return r.build(ctx, *tag, out)
}

// release is one run: of which repository, for which platforms, into which directory.
type release struct {
	repository, out string
	platforms       []platform
	source          string   // the clone that is built
	env             []string // of the programs that are called
}

type platform struct{ system, architecture string }

func (p platform) String() string { return p.system + "_" + p.architecture }

// build writes the files in the order in which they need each other.
func (r *release) build(ctx context.Context, tag string, out io.Writer) error {
	// A file of an earlier run would be listed among the checksums.
	if err := os.Mkdir(r.out, 0o755); err != nil {
		return fmt.Errorf("making the directory to write into: %w", err)
	}
	dir, err := os.MkdirTemp("", "mintmark-release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	if err := r.checkout(ctx, dir, out); err != nil {
		return fmt.Errorf("cloning the repository: %w", err)
	}
	var images []image
	for _, p := range r.platforms {
		_, _ = fmt.Fprintln(out, "building for", p)
		b, err := r.compile(ctx, p, filepath.Join(dir, p.String()))
		if err != nil {
			return err
		}
		if err := b.checkTag(tag); err != nil {
			return err
		}
		if err := r.writeBill(b); err != nil {
			return fmt.Errorf("bill of materials for %s: %w", p, err)
		}
		if err := r.writeArchive(b); err != nil {
			return fmt.Errorf("archive for %s: %w", p, err)
		}
		if p.system != "linux" {
			continue
		}
		if err := r.writePackages(b); err != nil {
			return fmt.Errorf("packages for %s: %w", p, err)
		}
		made, err := newImage(b)
		if err != nil {
			return fmt.Errorf("image for %s: %w", p, err)
		}
		images = append(images, made)
	}
	if len(images) > 0 {
		digest, err := r.writeImages(images)
		if err != nil {
			return fmt.Errorf("image: %w", err)
		}
		_, _ = fmt.Fprintln(out, "image", digest)
	}
	return r.writeChecksums()
}
