package audittrail

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// Report has the counts of a trace.
type Report struct {
	Counts
	// Files is how many logs were read.
	Files int `json:"files"`
	// Entries is how many were found.
	Entries int `json:"entries"`
	// Problems are sentences about logs that were read in part only.
	Problems []string `json:"problems,omitempty"`
}

// ErrReadTwice is the error of a trace that has to read its logs twice, of which one is standard input.
var ErrReadTwice = errors.New("the tokens of an account, a requester or a key are found by reading the logs twice, and standard input, or a pipe, can be read once: name files")

// Trace calls a function with the entries of a selection, in the order of time.
//
// One credential is found in one reading. For an account, a requester or a key, a first reading finds the credentials. Both
// take memory that does not depend on the size of the logs: few lines are decoded, and entries are sorted in a temporary file if
// there are many.
func Trace(ctx context.Context, logs *Logs, selection *Selection, take func(*Entry) error) (*Report, error) {
	m := newMatcher(selection)
	if selection.Credential == nil {
		if logs.once() {
			return nil, ErrReadTwice
		}
		m.search()
		logs.size.Add(logs.size.Load())
		if _, err := logs.each(ctx, m.filter, m.note); err != nil {
			return nil, err
		}
		m.follow()
	}
	found := &sorter{}
	defer found.close()
	report, err := logs.each(ctx, m.filter, func(e *event) error {
		for _, entry := range m.entries(e) {
			if err := found.add(entry); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	life := &life{matcher: m, accounts: map[string]time.Time{}, keys: map[string]time.Time{}, revocations: map[string]bool{}}
	err = found.each(func(e *Entry) error {
		if !life.has(e) {
			return nil
		}
		report.Entries++
		return take(e)
	})
	return report, err
}

// each reads all logs, several parts at a time.
func (l *Logs) each(ctx context.Context, f *filter, take func(*event) error) (*Report, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	report := &Report{Files: len(l.logs)}
	var mu sync.Mutex // guards report
	var next atomic.Int64
	parts := l.parts()
	var readers sync.WaitGroup
	for range min(len(parts), runtime.GOMAXPROCS(0)) {
		readers.Go(func() {
			s := &scanner{filter: f, take: take}
			buffer := make([]byte, blockSize)
			for ctx.Err() == nil {
				at := int(next.Add(1)) - 1
				if at >= len(parts) {
					break
				}
				var problem error
				buffer, problem = l.readPart(ctx, &parts[at], s, buffer)
				if fatal := (*taken)(nil); errors.As(problem, &fatal) {
					cancel(fatal.error)
				} else if problem != nil && ctx.Err() == nil {
					mu.Lock()
					report.Problems = append(report.Problems, fmt.Sprintf("%s could not be read to its end: %v", parts[at].name, problem))
					mu.Unlock()
				}
			}
			mu.Lock()
			defer mu.Unlock()
			report.add(s.Counts)
		})
	}
	readers.Wait()
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return report, nil
}

// taken is an error of the function that takes the events.
type taken struct{ error }

// readPart reads the events of a part. It returns the buffer, which may have grown.
func (l *Logs) readPart(ctx context.Context, p *part, s *scanner, buffer []byte) ([]byte, error) {
	in, err := l.open(ctx, p)
	if err != nil {
		return buffer, err
	}
	b := &blocks{in: in, buffer: buffer}
	if p.from > 0 {
		b.offset, b.skipping = -1, true
	}
	err = s.scan(b, p.to-p.from)
	return b.buffer, err
}
