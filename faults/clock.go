package main

import (
	"bytes"
	"context"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// leeway is by how much the clocks of two servers may differ without one refusing the new tokens of the other: that of
// kube-apiserver for the claims nbf and iat.
const leeway = time.Minute

// unixToWall is a number in the code of time.Now, the difference in seconds of two eras: what is added to it is added to
// each time that the program reads.
const unixToWall = 2_682_288_000

// skewed writes a copy of a program, for Linux, whose clock is ahead by an offset. The machine's own clock can't be set: it
// is that of all processes.
func skewed(program, to string, offset time.Duration) error {
	content, err := os.ReadFile(program)
	if err != nil {
		return err
	}
	code, err := functionOf(content, "time.Now")
	if err != nil {
		return fmt.Errorf("the clock of %s can't be set: %w", program, err)
	}
	number := binary.LittleEndian.AppendUint32(nil, unixToWall)
	if bytes.Count(code, number) != 1 {
		return fmt.Errorf("the clock of %s can't be set: its time.Now is not as this program knows it", program)
	}
	binary.LittleEndian.PutUint32(code[bytes.Index(code, number):], uint32(unixToWall+int64(offset/time.Second)))
	return os.WriteFile(to, content, 0o700)
}

// functionOf returns the part of a program that is the code of a function.
func functionOf(content []byte, name string) ([]byte, error) {
	file, err := elf.NewFile(bytes.NewReader(content))
	if err != nil {
		return nil, err
	}
	symbols, err := file.Symbols()
	if err != nil {
		return nil, err
	}
	for _, s := range symbols {
		if s.Name != name || int(s.Section) >= len(file.Sections) {
			continue
		}
		section := file.Sections[s.Section]
		from := s.Value - section.Addr + section.Offset
		return content[from : from+s.Size], nil
	}
	return nil, errors.New("it has no " + name)
}

// skewClock runs one server with a clock that is wrong by up to 90 seconds.
func skewClock(ctx context.Context, f *injection) error {
	r := f.any(f.rnd)
	offset := []time.Duration{90 * time.Second, -90 * time.Second, 50 * time.Second, -50 * time.Second}[f.rnd.IntN(4)]
	right, wrong := r.process.program, filepath.Join(f.dir, "wrong-clock")
	if err := skewed(right, wrong, offset); err != nil {
		f.report.skip("skew", err.Error())
		return nil
	}
	change := func(program string, offset time.Duration) error {
		over := disturb(r)
		defer over()
		r.process.stop()
		r.setSkew(offset)
		r.process.program = program
		return r.restart(ctx)
	}
	if err := change(wrong, offset); err != nil {
		return err
	}
	f.middle()
	// A wrong clock alone is no fault by which a server may be late.
	pause(ctx, 10*time.Second)
	return change(right, 0)
}

// setSkew notes by how much the clock of the server is wrong from now on.
func (r *replica) setSkew(offset time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.skew = offset
}

func (r *replica) clock() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.skew
}

// notYetValid tells whether a token of the server's clock is one of the future to another server.
func (t *token) notYetValid(at *replica, answered time.Time) bool {
	ahead := t.clock - at.clock() - leeway
	// Times in tokens are whole seconds.
	return ahead > 0 && answered.Sub(t.made) < ahead+2*time.Second
}
