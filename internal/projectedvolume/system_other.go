//go:build !unix

package projectedvolume

import (
	"errors"
	"io/fs"
	"os"
)

// ownerOf is unset: files have no numbered owner here.
func ownerOf(fs.FileInfo) int { return unset }

// groupOf is unset: files have no numbered group here.
func groupOf(fs.FileInfo) int { return unset }

// lock keeps the package from being used on a system without owners of files.
func lock(*os.File) error { return errors.ErrUnsupported }
