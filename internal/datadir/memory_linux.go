package datadir

import "golang.org/x/sys/unix"

const (
	memoryFileSystem = "/dev/shm"
	// enoughMemory is how much must be free in there. Containers often have 64 MB in all, which a store soon fills.
	enoughMemory = 256 << 20
)

// memoryDir returns the directory of a file system in memory with enough room that this user may write to; empty if there is
// none.
func memoryDir() string {
	var stat unix.Statfs_t
	if unix.Access(memoryFileSystem, unix.W_OK) != nil || unix.Statfs(memoryFileSystem, &stat) != nil || stat.Type != unix.TMPFS_MAGIC {
		return ""
	}
	if stat.Bavail*uint64(stat.Bsize) < enoughMemory {
		return ""
	}
	return memoryFileSystem
}
