package audittrail

import (
	"bytes"
	"strings"
	"testing"
)

// FuzzScan reads anything as a log. No line is lost, and what is found is an event about the credential.
func FuzzScan(f *testing.F) {
	for _, text := range append(day, strings.Join(day, ""), day[0][:100]+day[1], "\n\n{}\r\n[]", "\x1f\x8b\x00") {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		m := newMatcher(one(t))
		s := &scanner{filter: m.filter, take: func(e *event) error {
			for _, entry := range m.entries(e) {
				if entry.Time.IsZero() || entry.AuditID == "" {
					t.Errorf("%+v", entry)
				}
			}
			return m.note(e)
		}}
		if err := s.scan(&blocks{in: bytes.NewReader(text), buffer: make([]byte, 16)}, 0); err != nil {
			t.Fatal(err)
		}
		lines := 0
		for line := range bytes.Lines(text) {
			if len(bytes.TrimSpace(line)) > 0 {
				lines++
			}
		}
		if s.Lines != int64(lines) || s.Skipped > s.Lines {
			t.Errorf("%+v of %d lines", s.Counts, lines)
		}
	})
}
