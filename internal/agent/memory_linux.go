package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
	"k8s.io/klog/v2"
)

// releaseProgram gives the pages of the program's file back to the kernel. The program holds the server too, and its start touches
// 50 MB of it, of which the agent needs a few. Only mappings that can't be written are given back, so a page that is needed again is
// read from the file, or from the kernel's cache of it.
func releaseProgram(ctx context.Context) {
	maps, err := os.ReadFile("/proc/self/maps")
	if err == nil {
		var program string
		if program, err = os.Readlink("/proc/self/exe"); err == nil {
			err = release(string(maps), program)
		}
	}
	if err != nil {
		klog.FromContext(ctx).V(1).Info("The pages of the program stay in memory", "reason", err.Error())
	}
}

// release gives back the mappings of a file that are read-only, in the lines of /proc/self/maps.
func release(maps, file string) error {
	var failed error
	for line := range strings.SplitSeq(maps, "\n") {
		var from, to uintptr
		var mode string
		if _, err := fmt.Sscanf(line, "%x-%x %s", &from, &to, &mode); err != nil || strings.Contains(mode, "w") || !strings.HasSuffix(line, " "+file) {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, from, to-from, unix.MADV_DONTNEED); errno != 0 {
			failed = errors.Join(failed, errno)
		}
	}
	return failed
}
