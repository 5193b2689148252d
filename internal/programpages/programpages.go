// Package programpages gives back the memory that a process is charged with for the pages of its own program file. A start touches
// most of that file, and a running process needs a small part of it.
package programpages

import (
	"runtime/debug"
	"strconv"
	"strings"
)

// mapping is a range of addresses.
type mapping struct{ from, to uintptr }

// releasable returns which mappings of a file may be given back, of those in the lines of /proc/self/maps. They have the contents
// of the file: what can be written may differ, and in a program whose addresses are fixed at the start, so may data that is
// read-only by now. Of such a program only the code is given back.
func releasable(maps, file string, fixed bool) []mapping {
	var found []mapping
	for line := range strings.SplitSeq(maps, "\n") {
		// 00400000-03c4f000 r-xp 00000000 fd:00 1234 /usr/bin/mintmark: see proc_pid_maps(5).
		fields := strings.SplitN(line, " ", 6)
		if len(fields) < 6 || strings.TrimSpace(fields[5]) != file || strings.Contains(fields[1], "w") {
			continue
		}
		if !fixed && !strings.Contains(fields[1], "x") {
			continue
		}
		from, to, _ := strings.Cut(fields[0], "-")
		begin, beginErr := strconv.ParseUint(from, 16, 64)
		end, endErr := strconv.ParseUint(to, 16, 64)
		if beginErr == nil && endErr == nil {
			found = append(found, mapping{uintptr(begin), uintptr(end)})
		}
	}
	return found
}

// fixedAddresses reports whether the program was linked for the addresses at which it runs, so that nothing in it was changed at
// the start (go build -buildmode=exe, the default on Linux).
func fixedAddresses() bool {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return false
	}
	for _, setting := range info.Settings {
		if setting.Key == "-buildmode" {
			return setting.Value == "exe"
		}
	}
	return false
}
