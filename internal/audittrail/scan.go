package audittrail

import (
	"bytes"
	"errors"
	"io"
)

const (
	// blockSize is how much is read at once.
	blockSize = 1 << 20
	// MaxLine is the longest line that is read. Longer ones are skipped.
	MaxLine = 32 << 20
)

// Counts say what was read.
type Counts struct {
	Lines int64 `json:"lines"`
	// Skipped lines hold no audit event, TooLong ones more than MaxLine.
	Skipped int64 `json:"skipped"`
	TooLong int64 `json:"tooLong"`
}

func (c *Counts) add(more Counts) {
	c.Lines += more.Lines
	c.Skipped += more.Skipped
	c.TooLong += more.TooLong
}

// blocks reads a log in blocks of whole lines.
type blocks struct {
	in     io.Reader
	buffer []byte
	// used bytes of those that the buffer holds were returned last.
	used, held int
	// offset is where the buffer begins.
	offset int64
	// skipping goes on to the end of a line.
	skipping bool
	tooLong  int64
}

// next returns the next lines, and where they begin. The block is good until the next call, and may come with an error.
func (b *blocks) next() (block []byte, at int64, err error) {
	b.held = copy(b.buffer, b.buffer[b.used:b.held])
	b.offset += int64(b.used)
	for {
		fresh, n := b.held, 0
		n, err = b.in.Read(b.buffer[fresh:])
		b.held += n
		end := bytes.LastIndexByte(b.buffer[fresh:b.held], '\n')
		switch {
		case end >= 0:
			b.used = fresh + end + 1
		case err != nil:
			b.used = b.held
		case b.held < len(b.buffer):
			continue
		case len(b.buffer) < MaxLine:
			b.buffer = append(b.buffer, make([]byte, len(b.buffer))...)
			continue
		default:
			b.leaveOut()
			continue
		}
		block, at = b.buffer[:b.used], b.offset
		if b.skipping {
			_, rest, ended := bytes.Cut(block, []byte("\n"))
			at += int64(len(block) - len(rest))
			block, b.skipping = rest, !ended
		}
		return block, at, err
	}
}

// leaveOut begins to skip a line that is too long, or goes on with that.
func (b *blocks) leaveOut() {
	if !b.skipping {
		b.tooLong++
	}
	b.skipping = true
	b.offset += int64(b.held)
	b.held = 0
}

// scanner reads the events on the lines of a part.
type scanner struct {
	filter *filter
	// take gets each event that may be needed.
	take func(*event) error
	Counts
}

// scan reads the lines that begin in the first bytes of a log, or all lines if limit is 0.
func (s *scanner) scan(b *blocks, limit int64) error {
	defer func() {
		s.Lines += b.tooLong
		s.TooLong += b.tooLong
	}()
	for {
		block, at, err := b.next()
		needed := s.filter.mayMatch(block)
		for len(block) > 0 {
			if limit > 0 && at >= limit {
				return nil
			}
			line, rest, _ := bytes.Cut(block, []byte("\n"))
			at += int64(len(block) - len(rest))
			block = rest
			if err := s.line(bytes.TrimSpace(line), needed); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// line reads a line. Of one that is not needed only its ends are looked at.
func (s *scanner) line(line []byte, needed bool) error {
	if len(line) == 0 {
		return nil
	}
	s.Lines++
	var e *event
	whole := line[0] == '{' && line[len(line)-1] == '}'
	if needed && s.filter.mayMatch(line) {
		e, whole = parse(line)
	}
	if !whole {
		s.Skipped++
	}
	if e == nil {
		return nil
	}
	if err := s.take(e); err != nil {
		return &taken{err}
	}
	return nil
}
