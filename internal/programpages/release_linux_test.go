package programpages

import (
	"os"
	"regexp"
	"strconv"
	"testing"
)

// TestRelease: pages of the program leave the memory of the process, which goes on.
func TestRelease(t *testing.T) {
	before := programPages(t)
	Release()
	if after := programPages(t); after > before*9/10 {
		t.Errorf("%d kB of files were mapped, and %d kB are afterwards", before, after)
	}
}

// programPages returns how many kilobytes of files are mapped into the process and in memory.
func programPages(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip(err)
	}
	found := regexp.MustCompile(`RssFile:\s+(\d+) kB`).FindSubmatch(status)
	if found == nil {
		t.Skip("the kernel tells no RssFile")
	}
	n, err := strconv.Atoi(string(found[1]))
	if err != nil {
		t.Fatal(err)
	}
	return n
}
