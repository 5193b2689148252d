package programpages

import (
	"slices"
	"testing"
)

// TestReleasable: only mappings that are as in the file are given back.
func TestReleasable(t *testing.T) {
	const maps = `00400000-03c4f000 r-xp 00000000 fd:00 1234                             /usr/bin/mintmark
03c4f000-07a00000 r--p 0384f000 fd:00 1234                             /usr/bin/mintmark
07a00000-07b00000 rw-p 07600000 fd:00 1234                             /usr/bin/mintmark
07b00000-07c00000 r-xp 00000000 fd:00 4321                             /usr/bin/mintmark (deleted)
7f0000000000-7f0000100000 r-xp 00000000 fd:00 99                       /usr/lib/libc.so
7ffc00000000-7ffc00001000 r-xp 00000000 00:00 0                        [vdso]
`
	code, data := mapping{0x400000, 0x3c4f000}, mapping{0x3c4f000, 0x7a00000}
	if found := releasable(maps, "/usr/bin/mintmark", true); !slices.Equal(found, []mapping{code, data}) {
		t.Errorf("of a program with fixed addresses: %x", found)
	}
	if found := releasable(maps, "/usr/bin/mintmark", false); !slices.Equal(found, []mapping{code}) {
		t.Errorf("of a program that was relocated: %x", found)
	}
}
