package projectedvolume

import (
	"syscall"
	"testing"
)

// mountSmall mounts a file system of 64 KB.
func mountSmall(t *testing.T, path string) {
	t.Helper()
	if err := syscall.Mount("tmpfs", path, "tmpfs", 0, "size=64k,mode=0755"); err != nil {
		t.Skipf("TestFullDisk needs the right to mount a file system: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(path, 0) })
}
