package datadir

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
)

// maxFile bounds what is read of a file of the directory.
const maxFile = 4 << 20

// Read returns what a file holds, or nothing if there is no such file.
func (d *Dir) Read(name string) ([]byte, error) { return d.read(name) }

// Write puts data into a file that only the owner of the directory may read.
func (d *Dir) Write(name string, data []byte) error { return d.write(name, data, privateMode) }

// read returns what a file holds, or nothing if there is no such file. It follows no link and waits for no pipe.
func (d *Dir) read(name string) ([]byte, error) {
	before, err := d.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d.Path(name), err)
	}
	if !before.Mode().IsRegular() {
		return nil, fmt.Errorf("%s is %s, not a file", d.Path(name), kind(before.Mode()))
	}
	file, err := d.root.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", d.Path(name), err)
	}
	defer func() { _ = file.Close() }()
	if after, err := file.Stat(); err != nil || !os.SameFile(before, after) {
		return nil, fmt.Errorf("%s was replaced while it was opened", d.Path(name))
	}
	data, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s can't be read: %w", d.Path(name), err)
	}
	if len(data) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", d.Path(name), maxFile)
	}
	return data, nil
}

// write puts data into a file of the directory: after a crash the file holds the old data or the new, and never a part. The mode
// does not depend on the umask, and a link of that name is replaced, not followed.
func (d *Dir) write(name string, data []byte, mode fs.FileMode) error {
	return writeIn(d.root, name, data, mode)
}

func writeIn(root *os.Root, name string, data []byte, mode fs.FileMode) error {
	temporary := "." + name + "-" + rand.Text()
	file, err := root.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_EXCL, privateMode)
	if err != nil {
		return err
	}
	defer func() { _ = root.Remove(temporary) }()
	_, err = file.Write(data)
	if err := errors.Join(err, file.Chmod(mode), file.Sync(), file.Close()); err != nil {
		return err
	}
	if err := root.Rename(temporary, name); err != nil {
		return err
	}
	return syncIn(root)
}

// syncIn makes durable which names a directory holds.
func syncIn(root *os.Root) error {
	dir, err := root.Open(".")
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// Remove removes a file of the directory, durably. One that is gone already is no error.
func (d *Dir) Remove(name string) error {
	err := d.root.Remove(name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%s can't be removed: %w", d.Path(name), err)
	}
	return syncIn(d.root)
}
