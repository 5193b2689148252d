package audittrail

import (
	"bufio"
	"container/heap"
	"encoding/json"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
)

// maxHeld is how many entries are held in memory, about 20 MB. Sorted runs of more are written to a temporary file.
const maxHeld = 20_000

// sorter puts entries into the order of time in bounded memory. It is safe for concurrent use until it is read.
type sorter struct {
	held int // how many are held at most; 0 means maxHeld

	mu      sync.Mutex
	entries []*Entry
	file    *os.File
	named   bool    // the file could not be removed while it is open
	runs    []int64 // where each run in the file ends
}

// add adds an entry.
func (s *sorter) add(e *Entry) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.entries = append(s.entries, e)
	limit := s.held
	if limit == 0 {
		limit = maxHeld
	}
	if len(s.entries) < limit {
		return nil
	}
	return s.spill()
}

// spill writes the held entries, sorted, to the file.
func (s *sorter) spill() error {
	if s.file == nil {
		file, err := os.CreateTemp("", "mintmark-trace-*")
		if err != nil {
			return err
		}
		s.file = file
		// The file has no name while it is used, so that it is gone however the process ends.
		s.named = os.Remove(file.Name()) != nil
	}
	slices.SortStableFunc(s.entries, compare)
	out := bufio.NewWriter(s.file)
	encoder := json.NewEncoder(out)
	for _, e := range s.entries {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	end, err := s.file.Seek(0, io.SeekCurrent)
	s.runs, s.entries = append(s.runs, end), s.entries[:0]
	return err
}

// close removes the file.
func (s *sorter) close() {
	if s.file != nil {
		_ = s.file.Close() // nothing is kept of it
	}
	if s.named {
		_ = os.Remove(s.file.Name())
	}
}

// each calls a function with all entries in their order. Of several entries of one event only the last is passed.
func (s *sorter) each(take func(*Entry) error) error {
	slices.SortStableFunc(s.entries, compare)
	const buffers = 8 << 20
	size := max(512, min(64<<10, buffers/(len(s.runs)+1)))
	merged := &merge{{rest: s.entries}}
	from := int64(0)
	for _, to := range s.runs {
		*merged = append(*merged, &run{decoder: json.NewDecoder(bufio.NewReaderSize(io.NewSectionReader(s.file, from, to-from), size))})
		from = to
	}
	for i := len(*merged) - 1; i >= 0; i-- {
		if more, err := (*merged)[i].next(); err != nil {
			return err
		} else if !more {
			*merged = slices.Delete(*merged, i, i+1)
		}
	}
	heap.Init(merged)
	var last *Entry
	for merged.Len() > 0 {
		first := (*merged)[0]
		if last != nil && !sameEvent(last, first.head) {
			if err := take(last); err != nil {
				return err
			}
		}
		last = first.head
		more, err := first.next()
		if err != nil {
			return err
		}
		if more {
			heap.Fix(merged, 0)
		} else {
			heap.Pop(merged)
		}
	}
	if last == nil {
		return nil
	}
	return take(last)
}

// run is a sorted list of entries, in memory or in the file.
type run struct {
	head    *Entry
	rest    []*Entry
	decoder *json.Decoder // nil in memory
}

// next goes on to the next entry. It reports false at the end.
func (r *run) next() (bool, error) {
	if r.decoder == nil {
		if len(r.rest) == 0 {
			return false, nil
		}
		r.head, r.rest = r.rest[0], r.rest[1:]
		return true, nil
	}
	r.head = &Entry{}
	err := r.decoder.Decode(r.head)
	if errors.Is(err, io.EOF) {
		return false, nil
	}
	return err == nil, err
}

// merge is a heap of runs, the one with the earliest entry first.
type merge []*run

var _ heap.Interface = (*merge)(nil)

// Len is how many runs there are.
func (m *merge) Len() int { return len(*m) }

// Less compares two runs.
func (m *merge) Less(i, j int) bool { return compare((*m)[i].head, (*m)[j].head) < 0 }

// Swap swaps two runs.
func (m *merge) Swap(i, j int) { (*m)[i], (*m)[j] = (*m)[j], (*m)[i] }

// Push adds a run.
func (m *merge) Push(one any) { *m = append(*m, one.(*run)) }

// Pop takes off the last run.
func (m *merge) Pop() any {
	last := (*m)[len(*m)-1]
	*m = (*m)[:len(*m)-1]
	return last
}
