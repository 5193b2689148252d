package etcd_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestNoOtherWayIn looks at what the process listens on: the one socket in the store's directory, and neither a port nor
// a socket in the abstract name space, where no file mode guards it.
func TestNoOtherWayIn(t *testing.T) {
	dir := t.TempDir()
	defer start(t, dir).Close()
	mine := sockets(t)
	var found []string
	for _, line := range lines(t, "/proc/self/net/unix") {
		fields := strings.Fields(line)
		const accepting = "00010000"
		if len(fields) < 8 || !mine[fields[6]] || fields[3] != accepting {
			continue
		}
		found = append(found, fields[7])
	}
	if len(found) != 1 || found[0] != filepath.Join(dir, "client.sock") {
		t.Errorf("listens on the sockets %q", found)
	}
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		for _, line := range lines(t, table) {
			const listening = "0A"
			if fields := strings.Fields(line); len(fields) > 9 && fields[3] == listening && mine[fields[9]] {
				t.Errorf("listens on a port: %s", fields[1])
			}
		}
	}
}

// sockets returns the inodes of the sockets that this process has open.
func sockets(t *testing.T) map[string]bool {
	t.Helper()
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip("there is no /proc here to look in")
	}
	inodes := map[string]bool{}
	for _, entry := range entries {
		var inode uint64
		target, _ := os.Readlink("/proc/self/fd/" + entry.Name())
		if _, err := fmt.Sscanf(target, "socket:[%d]", &inode); err == nil {
			inodes[fmt.Sprint(inode)] = true
		}
	}
	return inodes
}

func lines(t *testing.T, name string) []string {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Skip(err)
	}
	return strings.Split(string(data), "\n")
}
