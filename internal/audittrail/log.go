package audittrail

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
)

// Standard is the name that stands for standard input.
const Standard = "-"

// Logs are the logs that a trace reads.
type Logs struct {
	logs []*log
	// size is how many bytes there are to read; read is how many have been read.
	size, read atomic.Int64
}

// log is a file of audit events, one event a line.
type log struct {
	name string
	file *os.File // nil for standard input
	info os.FileInfo
	// once is the text of standard input or of a pipe, which can be read only once.
	once *bufio.Reader
	gzip bool
}

// Open opens the logs that names and patterns name. A file that several name is read once.
func Open(names []string, standard io.Reader) (_ *Logs, err error) {
	all := &Logs{}
	defer func() {
		if err != nil {
			all.Close()
		}
	}()
	for _, name := range names {
		if name == Standard {
			if err := all.addOnce(&log{name: "standard input"}, standard); err != nil {
				return nil, err
			}
			continue
		}
		files, err := expand(name)
		if err != nil {
			return nil, err
		}
		for _, file := range files {
			if err := all.add(file); err != nil {
				return nil, err
			}
		}
	}
	return all, nil
}

// Close closes the files.
func (l *Logs) Close() {
	for _, one := range l.logs {
		if one.file != nil {
			_ = one.file.Close() // it was read only
		}
	}
}

// Progress returns how many bytes have been read, and how many there are in files.
func (l *Logs) Progress() (read, of int64) { return l.read.Load(), l.size.Load() }

// once reports whether a log can be read once only.
func (l *Logs) once() bool {
	return slices.ContainsFunc(l.logs, func(one *log) bool { return one.once != nil })
}

// expand returns the files that a name or a pattern names.
func expand(name string) ([]string, error) {
	if _, err := os.Lstat(name); err == nil || !strings.ContainsAny(name, "*?[") {
		return []string{name}, nil
	}
	files, err := filepath.Glob(name)
	if err != nil {
		return nil, fmt.Errorf("%s is no pattern for names of files: %w", name, err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("no file matches %s", name)
	}
	return files, nil
}

func (l *Logs) add(name string) error {
	info, err := os.Stat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is no file %s", name)
	}
	if err != nil {
		return err
	}
	if info.IsDir() {
		return fmt.Errorf("%s is a directory: name the logs in it, such as %s", name, filepath.Join(name, "audit*.log*"))
	}
	if slices.ContainsFunc(l.logs, func(other *log) bool { return other.file != nil && os.SameFile(other.info, info) }) {
		return nil
	}
	file, err := os.Open(name)
	if err != nil {
		return err
	}
	one := &log{name: name, file: file, info: info}
	if !info.Mode().IsRegular() {
		return l.addOnce(one, file)
	}
	one.gzip = isGzip(bufio.NewReader(io.NewSectionReader(file, 0, info.Size())))
	l.logs = append(l.logs, one)
	l.size.Add(info.Size())
	return nil
}

// addOnce adds a log that can be read once.
func (l *Logs) addOnce(one *log, in io.Reader) error {
	if one.file == nil && slices.ContainsFunc(l.logs, func(other *log) bool { return other.file == nil }) {
		return errors.New("standard input can be read once only")
	}
	one.once = bufio.NewReader(in)
	one.gzip = isGzip(one.once)
	l.logs = append(l.logs, one)
	return nil
}

var gzipMagic = []byte{0x1f, 0x8b}

func isGzip(in *bufio.Reader) bool {
	start, _ := in.Peek(len(gzipMagic)) // a shorter text is not compressed
	return bytes.Equal(start, gzipMagic)
}

// part is a piece of a log that is read by itself: the lines that begin in it.
type part struct {
	*log
	from, to int64 // to is 0 for the end
}

// partSize is how much of a plain file is one part.
const partSize = 64 << 20

// parts returns the logs in pieces.
func (l *Logs) parts() []part {
	var all []part
	for _, one := range l.logs {
		if one.once != nil || one.gzip {
			all = append(all, part{log: one})
			continue
		}
		for from := int64(0); from < one.info.Size(); from += partSize {
			all = append(all, part{one, from, min(from+partSize, one.info.Size())})
		}
	}
	return all
}

// open returns the text of a part. It goes on behind the part's end; within a file it begins with the byte before the part.
func (l *Logs) open(ctx context.Context, p *part) (io.Reader, error) {
	var in io.Reader = p.once
	if p.once == nil {
		from := max(0, p.from-1)
		in = io.NewSectionReader(p.file, from, p.info.Size()-from)
	}
	in = &counted{ctx, in, &l.read}
	if p.gzip {
		return gzip.NewReader(in)
	}
	return in, nil
}

// counted counts what is read, and ends with its context.
type counted struct {
	ctx  context.Context //nolint:containedctx // of one reading
	in   io.Reader
	read *atomic.Int64
}

// Read reads on.
func (c *counted) Read(into []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.in.Read(into)
	c.read.Add(int64(n))
	return n, err
}
