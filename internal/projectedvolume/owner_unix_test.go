//go:build unix

package projectedvolume

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// writeOwned writes the files of a pod that asks for user 4711, and of one that asks for group 4712, as whoever runs it.
func writeOwned(root string) error {
	volume, err := openForHelper(root)
	if err != nil {
		return err
	}
	user, group, self := int64(4711), int64(4712), int64(os.Geteuid())
	for _, o := range []owners{{user: &user}, {group: &group}, {user: &self}} {
		_, err := write(volume, fileSet{"token": {[]byte("x"), o.token(0o644)}}, o, noon)
		fmt.Println(isPermanent(err), err)
	}
	return nil
}

// TestNotRoot: an agent that may not give files away says what to do, and keeps files of its own user.
func TestNotRoot(t *testing.T) {
	parent, err := os.MkdirTemp("", "projectedvolume") //nolint:usetesting // t.TempDir is closed to other users
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(parent) })
	os.Chmod(parent, 0o755)
	root := filepath.Join(parent, "root")
	os.Mkdir(root, 0o755)
	binary := filepath.Join(parent, "agent.test")
	if err := os.Link(os.Args[0], binary); err != nil {
		copyFile(t, os.Args[0], binary)
	}
	command := process(t, "owned", root)
	command.Path, command.Dir = binary, parent
	if os.Geteuid() == 0 {
		os.Chown(root, 4000, 4000)
		command.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: 4000, Gid: 4000}}
	}
	output, err := command.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	lines := strings.Split(string(output), "\n")
	if !strings.HasPrefix(lines[0], "true ") || !strings.Contains(lines[0], "the files belong to user 4711") || !strings.Contains(lines[0], "run the agent as root") {
		t.Errorf("runAsUser: %s", lines[0])
	}
	if !strings.HasPrefix(lines[1], "true ") || !strings.Contains(lines[1], "group 4712") {
		t.Errorf("fsGroup: %s", lines[1])
	}
	if lines[2] != "false <nil>" {
		t.Errorf("its own user: %s", lines[2])
	}
	info, err := os.Stat(filepath.Join(root, "pods/ns_p/volumes/v/token"))
	if err != nil || info.Mode() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	content, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, content, 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestModesAndOwners: the table of a kubelet, in files.
func TestModesAndOwners(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestModesAndOwners needs root: only root gives files away")
	}
	umask := syscall.Umask(0o077)
	t.Cleanup(func() { syscall.Umask(umask) })
	user, group := int64(4711), int64(4712)
	for _, test := range []struct {
		name                   string
		owners                 owners
		token, file, directory ownership
	}{
		{"none", owners{}, ownership{0o640, 0, 0}, ownership{0o400, 0, 0}, ownership{0o755, 0, 0}},
		{"user", owners{user: &user}, ownership{0o600, 4711, 0}, ownership{0o400, 0, 0}, ownership{0o755, 0, 0}},
		{"group", owners{group: &group}, ownership{0o640, 0, 4712}, ownership{0o440, 0, 4712}, ownership{0o755 | fs.ModeSetgid, 0, 4712}},
		{"both", owners{&user, &group}, ownership{0o640, 4711, 4712}, ownership{0o440, 0, 4712}, ownership{0o755 | fs.ModeSetgid, 0, 4712}},
		{"none again, in the same directory", owners{}, ownership{0o640, 0, 0}, ownership{0o400, 0, 0}, ownership{0o755, 0, 0}},
	} {
		t.Run(test.name, func(t *testing.T) {
			volume := openVolume(t, t.TempDir())
			write(volume, setOf("x", "before"), owners{group: &group}, noon)
			set := fileSet{"token": {[]byte("x"), test.owners.token(0o640)}, "a/b": {[]byte("x"), test.owners.file(0o400)}}
			if _, err := write(volume, set, test.owners, noon); err != nil {
				t.Fatal(err)
			}
			data, _ := current(volume)
			for p, want := range map[string]ownership{
				".": test.directory, data: test.directory, data + "/a": test.directory, data + "/token": test.token, data + "/a/b": test.file,
			} {
				info, err := volume.Lstat(p)
				if err != nil || !want.matches(info) {
					t.Errorf("%s is %v, %d:%d; want %v, %d:%d", p, info.Mode(), ownerOf(info), groupOf(info), want.mode, want.uid, want.gid)
				}
			}
			for _, p := range []string{"..data", "token", "a"} {
				info, err := volume.Lstat(p)
				if err != nil || groupOf(info) != test.token.gid || p == "token" && ownerOf(info) != test.token.uid {
					t.Errorf("the link %s belongs to %d:%d, %v", p, ownerOf(info), groupOf(info), err)
				}
			}
			for _, p := range []string{"pods", "pods/ns_p", "pods/ns_p/volumes"} {
				info, err := os.Stat(filepath.Join(volume.path, "../../../..", p))
				if err != nil || info.Mode().Perm() != 0o755 {
					t.Errorf("%s is %v, %v: nobody else gets to the files", p, info.Mode(), err)
				}
			}
		})
	}
}

// TestFilesOfAnother: a directory that belongs to somebody else is not written to.
func TestFilesOfAnother(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("TestFilesOfAnother needs root: only root gives files away")
	}
	for _, at := range []string{".", "pods", "pods/ns_p", "pods/ns_p/volumes", "pods/ns_p/volumes/v"} {
		root := filepath.Join(t.TempDir(), "root")
		os.MkdirAll(filepath.Join(root, "pods/ns_p/volumes/v"), 0o755)
		os.Chown(filepath.Join(root, at), 4711, 4711)
		if _, err := tryVolume(t, root); err == nil || !strings.Contains(err.Error(), filepath.Join(root, at)+" belongs to user 4711") {
			t.Errorf("%s: %v", at, err)
		}
	}
}
