//go:build !unix

package datadir

import "io/fs"

const openFlags = 0

// ownership is unknown on systems without Unix owners and modes.
func ownership(fs.FileInfo) (o owner, known bool) { return owner{}, false }

func currentUser(use Use) caller { return caller{Use: use} }
