package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"time"
)

// procDir is where Linux tells about its processes: proc_pid_stat(5), proc_pid_status(5).
const procDir = "/proc"

// tick is the unit of times there. The kernel counts them to the outside in hundredths of a second (USER_HZ) on every
// architecture that Go has, whatever it counts in inside.
const tick = 10 * time.Millisecond

// errNoProc says why there are no figures elsewhere.
var errNoProc = fmt.Errorf("there is no /proc/self/stat on this system (%s): the CPU and the memory of the servers are read there, so the benchmark runs on Linux only", runtime.GOOS)

// checkProc fails where there is no /proc.
func checkProc() error {
	if _, err := cpuTime(os.Getpid()); err != nil {
		return errNoProc
	}
	return nil
}

// cpuTime returns the CPU that processes have used so far, in user mode and in the kernel, all of their threads
// together, ended ones included.
func cpuTime(pids ...int) (time.Duration, error) {
	var sum time.Duration
	for _, pid := range pids {
		text, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "stat"))
		if err != nil {
			return 0, fmt.Errorf("the CPU of process %d: %w", pid, err)
		}
		used, err := parseStat(string(text))
		if err != nil {
			return 0, fmt.Errorf("the CPU of process %d: %w", pid, err)
		}
		sum += used
	}
	return sum, nil
}

// parseStat reads utime and stime, the 14th and 15th field.
func parseStat(text string) (time.Duration, error) {
	// The second field is the program's name in brackets, and may itself hold blanks and brackets.
	end := strings.LastIndexByte(text, ')')
	if end < 0 {
		return 0, errors.New("no program's name in stat")
	}
	const utime, stime = 14 - 3, 15 - 3
	fields := strings.Fields(text[end+1:])
	if len(fields) <= stime {
		return 0, fmt.Errorf("%d fields behind the name in stat", len(fields))
	}
	var ticks uint64
	for _, field := range fields[utime : stime+1] {
		n, err := strconv.ParseUint(field, 10, 63)
		if err != nil {
			return 0, fmt.Errorf("a time in stat: %w", err)
		}
		ticks += n
	}
	return time.Duration(ticks) * tick, nil
}

// machineTime returns how long the processors have existed so far, all of them together, and how long they have worked,
// for a hypervisor's other guests included.
func machineTime() (all, busy time.Duration, err error) {
	text, err := os.ReadFile(filepath.Join(procDir, "stat"))
	if err != nil {
		return 0, 0, err
	}
	return parseMachineStat(string(text))
}

// parseMachineStat reads the line of all processors: user, nice, system, idle, iowait, irq, softirq, steal, and two
// that are contained in the first two.
func parseMachineStat(text string) (all, busy time.Duration, err error) {
	line, _, _ := strings.Cut(text, "\n")
	fields := strings.Fields(line)
	const idle, iowait, steal = 4, 5, 8
	if len(fields) <= steal || fields[0] != "cpu" {
		return 0, 0, errors.New("no line of all processors in stat")
	}
	for i := 1; i <= steal; i++ {
		ticks, err := strconv.ParseInt(fields[i], 10, 53)
		if err != nil {
			return 0, 0, fmt.Errorf("a time in stat: %w", err)
		}
		all += time.Duration(ticks) * tick
		if i != idle && i != iowait {
			busy += time.Duration(ticks) * tick
		}
	}
	return all, busy, nil
}

// resident returns the memory that processes hold, in bytes.
func resident(pids ...int) (int64, error) {
	var sum int64
	for _, pid := range pids {
		text, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "status"))
		if err != nil {
			return 0, fmt.Errorf("the memory of process %d: %w", pid, err)
		}
		size, err := parseKilobytes(string(text), "VmRSS")
		if err != nil {
			return 0, fmt.Errorf("the memory of process %d: %w", pid, err)
		}
		sum += size
	}
	return sum, nil
}

// parseKilobytes reads a line like "VmRSS:   95224 kB" of status or meminfo, as bytes.
func parseKilobytes(text, key string) (int64, error) {
	value, ok := lookUp(text, key)
	if !ok {
		return 0, fmt.Errorf("no %s", key)
	}
	number, ok := strings.CutSuffix(value, " kB")
	if !ok {
		return 0, fmt.Errorf("%s is not in kB", key)
	}
	n, err := strconv.ParseInt(strings.TrimSpace(number), 10, 53)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", key, err)
	}
	return n * 1024, nil
}

// lookUp returns what stands behind the first "key:" at the beginning of a line.
func lookUp(text, key string) (string, bool) {
	for line := range strings.Lines(text) {
		name, value, ok := strings.Cut(line, ":")
		if ok && strings.TrimSpace(name) == key {
			return strings.TrimSpace(value), true
		}
	}
	return "", false
}

// memory is what a process holds, in bytes: all of it, what of that is pages of files, such as a store that is mapped into
// memory, and the most that it has held so far. The kernel can take the pages of files back.
type memory struct{ resident, files, peak int64 }

func readMemory(pid int) (memory, error) {
	text, err := os.ReadFile(filepath.Join(procDir, strconv.Itoa(pid), "status")) //nolint:gosec // G703: the number of a process that this program has started
	if err != nil {
		return memory{}, fmt.Errorf("the memory of process %d: %w", pid, err)
	}
	var m memory
	for key, to := range map[string]*int64{"VmRSS": &m.resident, "RssFile": &m.files, "VmHWM": &m.peak} {
		if *to, err = parseKilobytes(string(text), key); err != nil {
			return memory{}, fmt.Errorf("the memory of process %d: %w", pid, err)
		}
	}
	return m, nil
}
