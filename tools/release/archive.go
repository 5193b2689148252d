package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// accompanying are the files of the repository that lie beside the program in an archive; of a directory, all of it.
var accompanying = []string{"LICENSE", "README.md", "CHANGELOG.md", "contrib"}

// entry is a file or directory of a tar archive, owned by root or by the user and group uid.
type entry struct {
	name string
	mode int64
	uid  int
	file string // its content is that of this file; of a directory the name ends in a slash
	text []byte // or else this
}

// writeTar writes the entries with one time. Nothing else of the files they come from is written, such as owners or times.
func writeTar(to io.Writer, entries []entry, modified time.Time) error {
	archive := tar.NewWriter(to)
	for _, e := range entries {
		text := e.text
		if e.file != "" {
			var err error
			if text, err = os.ReadFile(e.file); err != nil {
				return err
			}
		}
		header := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.uid, Gid: e.uid, Size: int64(len(text)), ModTime: modified, Typeflag: tar.TypeReg, Format: tar.FormatUSTAR}
		if strings.HasSuffix(e.name, "/") {
			header.Typeflag = tar.TypeDir
		}
		if err := archive.WriteHeader(header); err != nil {
			return err
		}
		if _, err := archive.Write(text); err != nil {
			return err
		}
	}
	return archive.Close()
}

// writeArchive writes mintmark_OS_ARCHITECTURE.tar.gz.
func (r *release) writeArchive(b binary) error {
	entries := []entry{{name: "mintmark", mode: 0o755, file: b.file}}
	for _, name := range accompanying {
		err := filepath.WalkDir(filepath.Join(r.source, name), func(path string, found os.DirEntry, err error) error {
			if err != nil || found.IsDir() {
				return err
			}
			relative, err := filepath.Rel(r.source, path)
			if err != nil {
				return err
			}
			mode := int64(0o644)
			if filepath.Ext(path) == ".sh" {
				mode = 0o755
			}
			entries = append(entries, entry{name: filepath.ToSlash(relative), mode: mode, file: path})
			return nil
		})
		if err != nil {
			return err
		}
	}
	var text bytes.Buffer
	packed := gzip.NewWriter(&text)
	if err := writeTar(packed, entries, b.time); err != nil {
		return err
	}
	if err := packed.Close(); err != nil {
		return err
	}
	return r.write("mintmark_"+b.String()+".tar.gz", text.Bytes())
}

func (r *release) write(name string, text []byte) error {
	return os.WriteFile(filepath.Join(r.out, name), text, 0o644)
}

// writeChecksums writes checksums.txt, which sha256sum --check reads, for all files beside it.
func (r *release) writeChecksums() error {
	files, err := filepath.Glob(filepath.Join(r.out, "mintmark_*"))
	if err != nil {
		return err
	}
	slices.Sort(files)
	var lines bytes.Buffer
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		fmt.Fprintf(&lines, "%x  %s\n", sha256.Sum256(text), filepath.Base(file))
	}
	return r.write("checksums.txt", lines.Bytes())
}
