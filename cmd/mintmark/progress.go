package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
)

// progress shows on a terminal how much of some files has been read.
type progress struct{ stop func() }

// startProgress begins to show it. Anywhere but on a terminal nothing is shown.
func startProgress(to io.Writer, done func() (read, of int64)) *progress {
	if !isTerminal(to) {
		return &progress{stop: func() {}}
	}
	ended, gone := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				_, _ = fmt.Fprint(to, "\r\033[K") // a closed terminal can't be told
				return
			case <-tick.C:
				_, _ = fmt.Fprintf(to, "\r\033[K%s", progressBar(done()))
			}
		}
	}()
	return &progress{stop: sync.OnceFunc(func() {
		close(ended)
		<-gone
	})}
}

// progressBar is a bar, or, if it is not known how much there is, how much has been read.
func progressBar(read, of int64) string {
	const mega, width = 1_000_000, 30
	if of <= 0 {
		return fmt.Sprintf("%d MB read", read/mega)
	}
	read = min(read, of)
	filled := int(read * width / of)
	return fmt.Sprintf("[%s%s] %3d %% of %d MB", strings.Repeat("=", filled), strings.Repeat(" ", width-filled), read*100/of, of/mega)
}
