package programpages

import (
	"os"
	"syscall"
)

// Release has the kernel unmap the pages of the program's own file. Those that are needed come back, from the file or the kernel's
// cache of it, when they are touched again. What can't be released stays.
func Release() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return
	}
	for _, m := range releasable(string(maps), program, fixedAddresses()) {
		_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, m.from, m.to-m.from, syscall.MADV_DONTNEED)
	}
}
