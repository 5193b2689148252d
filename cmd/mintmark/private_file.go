package main

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// privateDir is the directory of files that are for the caller alone. It is held open, and no link in it is followed.
type privateDir struct {
	root *os.Root
	name string
	// another says how another file is named, in errors.
	another string
}

func openPrivateDir(name, another string) (*privateDir, error) {
	root, err := os.OpenRoot(name)
	if err != nil {
		return nil, fmt.Errorf("cannot write into the directory %s: %w", name, err)
	}
	return &privateDir{root: root, name: name, another: another}, nil
}

// path is the name of a file for a person.
func (d *privateDir) path(file string) string { return filepath.Join(d.name, file) }

func (d *privateDir) close() { _ = d.root.Close() }

// own returns what is known of a file, or nil if there is none. It refuses a link, a directory, and a file of another user or
// with a mode that has a forbidden bit.
func (d *privateDir) own(file string, forbidden fs.FileMode) (fs.FileInfo, error) {
	info, err := d.root.Lstat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is a link or no plain file", d.path(file))
	}
	return info, checkOwned(d.path(file), info, forbidden)
}

// free refuses a file that may not be written.
func (d *privateDir) free(file string, overwrite bool) error {
	switch info, err := d.own(file, 0); {
	case err != nil:
		return fmt.Errorf("%w: it is left as it is, name another%s", err, d.another)
	case info != nil && !overwrite:
		return fmt.Errorf("%s exists already: name another file%s, or replace it with --overwrite", d.path(file), d.another)
	}
	return nil
}

// read returns what a file of the caller holds, or nothing if there is none.
func (d *privateDir) read(file string) ([]byte, error) {
	info, err := d.own(file, 0o077)
	if info == nil || err != nil {
		return nil, err
	}
	opened, err := d.root.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	if now, err := opened.Stat(); err != nil || !os.SameFile(info, now) {
		return nil, fmt.Errorf("%s changed while it was read", d.path(file))
	}
	return io.ReadAll(io.LimitReader(opened, maxKubeconfigBytes))
}

// write makes a file that only the caller can read, whole or not at all. Without overwrite a file that appeared meanwhile
// is left as it is.
func (d *privateDir) write(file string, data []byte, overwrite bool) error {
	return d.writeFrom(file, overwrite, func(w io.Writer) error {
		if _, err := w.Write(data); err != nil {
			return fmt.Errorf("cannot write %s: %w", d.path(file), err)
		}
		return nil
	})
}

// writeFrom makes a file as write does, of what a function writes.
func (d *privateDir) writeFrom(file string, overwrite bool, fill func(io.Writer) error) error {
	temporary := "." + file + "-" + rand.Text()
	made, err := d.root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return fmt.Errorf("cannot write into the directory %s: %w", d.name, err)
	}
	defer func() { _ = d.root.Remove(temporary) }() // gone already if it was renamed
	if err := fill(made); err != nil {
		return errors.Join(err, made.Close())
	}
	if err := errors.Join(made.Chmod(0o600), made.Sync(), made.Close()); err != nil {
		return fmt.Errorf("cannot write %s: %w", d.path(file), err)
	}
	if err := d.free(file, overwrite); err != nil {
		return err
	}
	if overwrite {
		err = d.root.Rename(temporary, file)
	} else {
		err = d.root.Link(temporary, file)
	}
	if err != nil {
		return fmt.Errorf("cannot write %s: %w", d.path(file), err)
	}
	return d.sync()
}

// sync makes durable which files the directory holds.
func (d *privateDir) sync() error {
	dir, err := d.root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
