//go:build !linux

package projectedvolume

import "testing"

// mountSmall mounts a file system of 64 KB.
func mountSmall(t *testing.T, _ string) {
	t.Helper()
	t.Skip("TestFullDisk needs a tmpfs, which only Linux has")
}
