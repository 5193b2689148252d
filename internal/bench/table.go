package main

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// columns are the head of the table. All but the first three are numbers.
var columns = []string{"scenario", "HTTP", "server", "CPU µs", "floor µs", "ratio", "over floor µs", "requests/s", "p50 ms", "p99 ms", "resident MB"}

const textColumns = 3

// table writes results as a table of Markdown that can be read as it is. The floor has no rows but a column.
func table(results []result) string {
	rows := [][]string{columns}
	var floor round
	for _, r := range results {
		if r.server == floorName {
			floor = r.typical()
			continue
		}
		rows = append(rows, r.cells(floor))
	}
	widths := make([]int, len(columns))
	for _, row := range rows {
		for i, cell := range row {
			widths[i] = max(widths[i], utf8.RuneCountInString(cell))
		}
	}
	var out strings.Builder
	for i, row := range rows {
		writeRow(&out, row, widths)
		if i == 0 {
			writeRule(&out, widths)
		}
	}
	return out.String()
}

func (r result) cells(floor round) []string {
	cells := []string{r.scenario.title, string(r.protocol), r.server}
	if r.impossible != "" {
		cells = append(cells, "not run: "+r.impossible)
		return append(cells, make([]string, len(columns)-len(cells))...)
	}
	t := r.typical()
	return append(cells, micros(t.cpu), micros(floor.cpu), strconv.FormatFloat(t.ratio, 'f', 1, 64), micros(t.extra),
		strconv.FormatFloat(t.rate, 'f', 0, 64), millis(t.p50), millis(t.p99), megabytes(r.resident))
}

func writeRow(out *strings.Builder, row []string, widths []int) {
	for i, cell := range row {
		padding := strings.Repeat(" ", widths[i]-utf8.RuneCountInString(cell))
		if i < textColumns {
			fmt.Fprintf(out, "| %s%s ", cell, padding)
		} else {
			fmt.Fprintf(out, "| %s%s ", padding, cell)
		}
	}
	out.WriteString("|\n")
}

func writeRule(out *strings.Builder, widths []int) {
	for i, width := range widths {
		if i < textColumns {
			out.WriteString("|" + strings.Repeat("-", width+2))
		} else {
			out.WriteString("|" + strings.Repeat("-", width+1) + ":")
		}
	}
	out.WriteString("|\n")
}

func micros(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Microsecond), 'f', 0, 64)
}

func millis(d time.Duration) string {
	return strconv.FormatFloat(float64(d)/float64(time.Millisecond), 'f', 2, 64)
}

func megabytes(bytes int64) string {
	return strconv.FormatFloat(float64(bytes)/1e6, 'f', 0, 64)
}
