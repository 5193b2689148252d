package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// checkout makes a clone of the repository below dir, at the commit that is checked out there, and has the release built from it. So nothing
// is in a release that is not in the commit, and the toolchain can record the commit: it doesn't see one in a working tree of "git worktree".
func (r *release) checkout(ctx context.Context, dir string, out io.Writer) error {
	// git refuses to read the repository of another user, as in a container of CI, unless it is told to.
	settings := filepath.Join(dir, "gitconfig")
	if err := os.WriteFile(settings, []byte("[safe]\n\tdirectory = *\n[advice]\n\tdetachedHead = false\n"), 0o600); err != nil {
		return err
	}
	r.env = append(os.Environ(), "GIT_CONFIG_GLOBAL="+settings, "GIT_CONFIG_SYSTEM="+os.DevNull)
	from, err := r.git(ctx, r.repository, "rev-parse", "--show-toplevel")
	if err != nil {
		return err
	}
	commit, err := r.git(ctx, from, "rev-parse", "HEAD")
	if err != nil {
		return err
	}
	changes, err := r.git(ctx, from, "status", "--porcelain")
	if err != nil {
		return err
	}
	if changes != "" {
		_, _ = fmt.Fprintln(out, "changes that are not committed are left out")
	}
	r.source = filepath.Join(dir, "source")
	if _, err := r.git(ctx, dir, "clone", "--quiet", "--shared", "--no-checkout", from, r.source); err != nil {
		return err
	}
	_, err = r.git(ctx, r.source, "checkout", "--quiet", "--detach", commit)
	return err
}

func (r *release) git(ctx context.Context, dir string, args ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", args...)
	command.Dir, command.Env, command.Stderr = dir, r.env, os.Stderr
	text, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("git %s: %w", args[0], err)
	}
	return strings.TrimSpace(string(text)), nil
}
