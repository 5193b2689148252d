package datadir

import (
	"io/fs"
	"os"
	"path/filepath"
)

// OpenAs opens a directory as a process of another user would.
func OpenAs(uid int, path string) (*Dir, error) {
	return openAs(caller{Use: serverUse, uid: uid, gid: uid}, path)
}

// WriteFile puts data into a file as the files of a data directory are written.
func WriteFile(name string, data []byte, mode fs.FileMode) error {
	root, err := os.OpenRoot(filepath.Dir(name))
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	return writeIn(root, filepath.Base(name), data, mode)
}
