package apiserver

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"syscall"
)

// releaseProgram has the kernel unmap the pages of the program's own file. A start touches most of them, and a server few: those
// come back, from the file or the kernel's cache of it, when they are touched again. Without it the process is charged with all
// of them for good. What can't be released stays.
func releaseProgram() {
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return
	}
	defer func() { _ = maps.Close() }()
	for lines := bufio.NewScanner(maps); lines.Scan(); {
		// 00400000-03c4f000 r-xp 00000000 fd:00 1234 /usr/bin/mintmark: see proc_pid_maps(5).
		fields := strings.SplitN(lines.Text(), " ", 6)
		if len(fields) < 6 || strings.TrimSpace(fields[5]) != program || strings.Contains(fields[1], "w") {
			continue // what can be written may differ from the file
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, beginErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if beginErr == nil && endErr == nil {
			_, _, _ = syscall.Syscall(syscall.SYS_MADVISE, uintptr(begin), uintptr(end-begin), syscall.MADV_DONTNEED)
		}
	}
}
