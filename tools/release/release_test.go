package main

import (
	"bytes"
	"context"
	"debug/buildinfo"
	"encoding/json"
	"encoding/pem"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	cyclonedx "github.com/CycloneDX/cyclonedx-go"
	"github.com/google/go-cmp/cmp"
)

// TestRelease builds the release of this machine's platform twice and looks at all of it, as those would who install it.
func TestRelease(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("packages and images are for Linux, and the platform of this test is not")
	}
	dir := build(t)
	unpacked := unpackArchive(t, dir)
	program := filepath.Join(unpacked, "mintmark")
	t.Run("Reproducible", func(t *testing.T) {
		if diff := cmp.Diff(read(t, dir, "checksums.txt"), read(t, build(t), "checksums.txt")); diff != "" {
			t.Errorf("two builds of one commit differ:\n%s", diff)
		}
	})
	t.Run("Checksums", func(t *testing.T) { testChecksums(t, dir) })
	t.Run("Version", func(t *testing.T) { testVersion(t, program) })
	t.Run("Static", func(t *testing.T) { testStatic(t, program) })
	t.Run("Bill", func(t *testing.T) { testBill(t, dir, program) })
	t.Run("Starts", func(t *testing.T) { testStarts(t, command{path: program, data: filepath.Join(t.TempDir(), "data")}) })
	t.Run("Debian", func(t *testing.T) { testDebian(t, dir, program) })
	t.Run("RedHat", func(t *testing.T) { testRedHat(t, dir) })
	t.Run("Image", func(t *testing.T) { testImage(t, dir, program) })
}

// TestPlatforms: the sources of all platforms are there. To compile them as well takes minutes for each; a tag does so.
func TestPlatforms(t *testing.T) {
	for name := range strings.SplitSeq(allPlatforms, ",") {
		system, architecture, _ := strings.Cut(name, "/")
		list := exec.CommandContext(t.Context(), "go", "list", "-deps", "./cmd/mintmark")
		list.Dir, list.Env = "../..", append(os.Environ(), "CGO_ENABLED=0", "GOOS="+system, "GOARCH="+architecture)
		if said, err := list.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
		}
	}
}

// TestTag: what is built under the name of a tag is the commit of that tag.
func TestTag(t *testing.T) {
	b := binary{version: "v1.2.3"}
	if err := b.checkTag("v1.2.3"); err != nil {
		t.Error(err)
	}
	if err := b.checkTag(""); err != nil {
		t.Error(err)
	}
	if err := b.checkTag("v1.2.4"); err == nil {
		t.Error("another tag is taken")
	}
}

// build writes a release for this machine's platform, with the temporary files in a place of their own.
func build(t *testing.T) string {
	t.Helper()
	t.Setenv("TMPDIR", t.TempDir())
	dir := filepath.Join(t.TempDir(), "dist")
	var said bytes.Buffer
	if err := run(t.Context(), []string{"-out", dir, "-platforms", runtime.GOOS + "/" + runtime.GOARCH}, &said); err != nil {
		t.Fatalf("%v\n%s", err, said.Bytes())
	}
	t.Logf("%s", said.Bytes())
	return dir
}

func read(t *testing.T, dir, name string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// output runs a program that must succeed.
func output(t *testing.T, dir, name string, args ...string) string {
	t.Helper()
	var stderr bytes.Buffer
	command := exec.CommandContext(t.Context(), name, args...)
	command.Dir, command.Stderr = dir, &stderr
	text, err := command.Output()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, stderr.Bytes())
	}
	return string(text)
}

func named(name string) string { return "mintmark_" + runtime.GOOS + "_" + runtime.GOARCH + name }

func unpackArchive(t *testing.T, dir string) string {
	t.Helper()
	to := t.TempDir()
	output(t, to, "tar", "-xzf", filepath.Join(dir, named(".tar.gz")))
	for _, name := range []string{"mintmark", "LICENSE", "README.md", "CHANGELOG.md", "contrib/systemd/mintmark.service", "contrib/kubernetes/README.md"} {
		if _, err := os.Stat(filepath.Join(to, name)); err != nil {
			t.Error(err)
		}
	}
	return to
}

func testChecksums(t *testing.T, dir string) {
	said := output(t, dir, "sha256sum", "--check", "checksums.txt")
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(said, ": OK\n"); lines != len(files)-1 || lines != 5 {
		t.Errorf("%d of the %d other files have a checksum:\n%s", lines, len(files)-1, said)
	}
}

// testVersion: the program names the commit and its date.
func testVersion(t *testing.T, program string) {
	var version struct{ Version, Revision, Time, Platform string }
	if err := json.Unmarshal([]byte(output(t, "", program, "version", "-o", "json")), &version); err != nil {
		t.Fatal(err)
	}
	commit := strings.TrimSpace(output(t, "", "git", "rev-parse", "HEAD"))
	seconds := strings.TrimSpace(output(t, "", "git", "show", "--no-patch", "--format=%cI", "HEAD"))
	when, err := time.Parse(time.RFC3339, seconds)
	if err != nil {
		t.Fatal(err)
	}
	if version.Revision != commit || version.Time != when.UTC().Format(time.RFC3339) || version.Platform != runtime.GOOS+"/"+runtime.GOARCH {
		t.Errorf("%+v, of commit %s of %s", version, commit, seconds)
	}
	if !strings.HasPrefix(version.Version, "v") || strings.Contains(version.Version, "dirty") {
		t.Errorf("version %s", version.Version)
	}
}

// testStatic: the file holds no path of this machine, and was built without a C library.
func testStatic(t *testing.T, program string) {
	text := read(t, "", program)
	for _, dir := range []string{os.TempDir(), os.Getenv("HOME") + "/"} {
		if len(dir) > len("/tmp/") && strings.Contains(text, dir) {
			t.Errorf("the file names %s", dir)
		}
	}
	info, err := buildinfo.ReadFile(program)
	if err != nil {
		t.Fatal(err)
	}
	if settings := info.String(); !strings.Contains(settings, "CGO_ENABLED=0") || !strings.Contains(settings, "-trimpath=true") {
		t.Error(settings)
	}
}

// testBill compares the bill of materials with what "go version -m" lists.
func testBill(t *testing.T, dir, program string) {
	bill := new(cyclonedx.BOM)
	if err := cyclonedx.NewBOMDecoder(strings.NewReader(read(t, dir, named(".cdx.json"))), cyclonedx.BOMFileFormatJSON).Decode(bill); err != nil {
		t.Fatal(err)
	}
	listed := map[string]string{}
	for line := range strings.Lines(output(t, "", "go", "version", "-m", program)) {
		if words := strings.Fields(line); len(words) == 4 && words[0] == "dep" {
			listed[words[1]] = words[2]
		}
	}
	listed["std"] = runtime.Version()
	billed := map[string]string{}
	for _, c := range *bill.Components {
		billed[c.Name] = c.Version
		if c.Name != "std" && (c.Hashes == nil || len((*c.Hashes)[0].Value) != 64) {
			t.Errorf("%s has no hash", c.Name)
		}
	}
	if diff := cmp.Diff(listed, billed); diff != "" {
		t.Error(diff)
	}
	if program := bill.Metadata.Component; program.Name != "github.com/mintmark/mintmark" || !strings.HasPrefix(program.PackageURL, "pkg:golang/github.com/mintmark/mintmark@v") {
		t.Errorf("%+v", program)
	}
}

// installed are the files of both packages.
var installed = []string{
	"/usr/bin/mintmark", "/usr/lib/systemd/system/mintmark.service", "/usr/lib/systemd/system/mintmark-agent.service", "/usr/share/doc/mintmark/copyright",
}

func testDebian(t *testing.T, dir, program string) {
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		t.Skip("dpkg-deb is not installed")
	}
	file, root := filepath.Join(dir, named(".deb")), t.TempDir()
	output(t, "", "dpkg-deb", "--extract", file, root)
	for _, name := range installed {
		if _, err := os.Stat(filepath.Join(root, name)); err != nil {
			t.Error(err)
		}
	}
	if read(t, root, installed[0]) != read(t, "", program) {
		t.Error("the program is another one than in the archive")
	}
	if fields := output(t, "", "dpkg-deb", "--field", file, "Package", "Architecture"); fields != "Package: mintmark\nArchitecture: "+runtime.GOARCH+"\n" {
		t.Error(fields)
	}
	control := t.TempDir()
	output(t, "", "dpkg-deb", "--control", file, control)
	for _, script := range []string{"postinst", "prerm", "postrm"} {
		output(t, control, "sh", "-n", script)
	}
	units := []string{"verify", "--man=no", "--root=" + root, "mintmark.service", "mintmark-agent.service"}
	if _, err := exec.LookPath("systemd-analyze"); err == nil {
		// Of the units that these name, such as network-online.target, none is below this root.
		said, _ := exec.CommandContext(t.Context(), "systemd-analyze", units...).CombinedOutput()
		if bytes.Contains(said, []byte("mintmark is not executable")) || bytes.Contains(said, []byte("Unknown")) {
			t.Errorf("%s", said)
		}
	}
}

func testRedHat(t *testing.T, dir string) {
	file := filepath.Join(dir, named(".rpm"))
	if text := read(t, "", file); !strings.HasPrefix(text, "\xed\xab\xee\xdb") {
		t.Error("it doesn't begin as a package does")
	}
	if _, err := exec.LookPath("rpm"); err != nil {
		t.Skip("rpm is not installed: the contents are not listed")
	}
	listed := output(t, "", "rpm", "--query", "--package", "--list", file)
	for _, name := range installed {
		if !strings.Contains(listed, name+"\n") {
			t.Errorf("%s is not in\n%s", name, listed)
		}
	}
}

// certificates counts those of a PEM file.
func certificates(text []byte) (n int) {
	for block, rest := pem.Decode(text); block != nil; block, rest = pem.Decode(rest) {
		n++
	}
	return n
}

// drain reads to the end, so that the writer isn't held up.
func drain(r io.Reader) { _, _ = io.Copy(io.Discard, r) }

// within bounds a wait for a process on a machine with much else to do.
func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	t.Cleanup(cancel)
	return ctx
}
