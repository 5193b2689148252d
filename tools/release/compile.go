package main

import (
	"context"
	"debug/buildinfo"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"slices"
	"time"
)

// binary is mintmark, built for a platform. What is said about it elsewhere (version, commit, time, modules) is what the Go toolchain
// recorded in the file, as "mintmark version" prints it.
type binary struct {
	platform
	file     string
	info     *debug.BuildInfo
	version  string // such as v0.1.0, or a pseudo-version between tags
	revision string
	time     time.Time // of the commit: the time of every file that is written
}

// compile builds mintmark without anything of this machine in it: no C library, no path, no setting of the environment.
func (r *release) compile(ctx context.Context, p platform, dir string) (binary, error) {
	file := filepath.Join(dir, "mintmark")
	// The steps of .ci/run have -trimpath and CGO_ENABLED=0 as well, so that packages are compiled once for all of them.
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-buildvcs=true", "-ldflags=-s -w", "-o", file, "./cmd/mintmark")
	build.Dir = r.source
	build.Env = append(slices.Clone(r.env), "CGO_ENABLED=0", "GOOS="+p.system, "GOARCH="+p.architecture,
		"GOFLAGS=-mod=readonly", "GOWORK=off", "GOEXPERIMENT=", "GOFIPS140=off", "GOAMD64=v1", "GOARM64=v8.0")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return binary{}, fmt.Errorf("go build for %s: %w", p, err)
	}
	info, err := buildinfo.ReadFile(file)
	if err != nil {
		return binary{}, err
	}
	b := binary{platform: p, file: file, info: info, version: info.Main.Version}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			b.revision = setting.Value
		case "vcs.time":
			if b.time, err = time.Parse(time.RFC3339, setting.Value); err != nil {
				return binary{}, err
			}
		}
	}
	if b.revision == "" || b.time.IsZero() {
		return binary{}, errors.New("the toolchain recorded no commit")
	}
	return b, nil
}

// checkTag compares the version that the toolchain found with the tag that is to be released; "" stands for any.
func (b binary) checkTag(tag string) error {
	if tag != "" && b.version != tag {
		return fmt.Errorf("the commit is built as %s and not as %s: is the tag on another commit, or is it missing in this clone?", b.version, tag)
	}
	return nil
}
