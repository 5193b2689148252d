package main

import (
	"os"
	"strings"
	"testing"
	"time"
)

func TestParseStat(t *testing.T) {
	// As proc_pid_stat(5) has it: 52 fields, the 14th and 15th being the ticks in user mode and in the kernel.
	const fields = " S 1 4242 4242 0 -1 4194560 5000 0 12 0 %u %s 0 0 20 0 11 0 98765 1300000000 24000 18446744073709551615 1 1 0 0 0 0 0 0 2143420159 0 0 0 17 1 0 0 0 0 0 0 0 0 0 0 0 0 0"
	stat := func(name, user, system string) string {
		return "4242 (" + name + ")" + strings.NewReplacer("%u", user, "%s", system).Replace(fields) + "\n"
	}
	for name, test := range map[string]struct {
		text string
		want time.Duration
		err  string
	}{
		"a process":            {text: stat("mintmark", "150", "25"), want: 1750 * time.Millisecond},
		"a name with brackets": {text: stat("a) S 1 (b c", "1", "0"), want: 10 * time.Millisecond},
		"nothing used":         {text: stat("mintmark", "0", "0")},
		"no name":              {text: "4242 mintmark S 1", err: "no program's name"},
		"cut off":              {text: "4242 (mintmark) S 1 2 3", err: "4 fields"},
		"not a number":         {text: stat("mintmark", "x", "0"), err: "a time in stat"},
		"a negative number":    {text: stat("mintmark", "150", "-1"), err: "a time in stat"},
		"empty":                {err: "no program's name"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseStat(test.text)
			if got != test.want {
				t.Errorf("got %s, want %s", got, test.want)
			}
			checkError(t, err, test.err)
		})
	}
}

func TestParseMachineStat(t *testing.T) {
	for name, test := range map[string]struct {
		text      string
		all, busy time.Duration
		err       string
	}{
		"two processors": {
			text: "cpu  100 20 50 1000 30 4 6 10 77 0\ncpu0 50 10 25 500 15 2 3 5 70 0\n",
			all:  12200 * time.Millisecond, busy: 1900 * time.Millisecond,
		},
		"one only":     {text: "cpu0 1 1 1 1 1 1 1 1\n", err: "no line of all processors"},
		"an old one":   {text: "cpu 1 1 1 1\n", err: "no line of all processors"},
		"not a number": {text: "cpu 1 1 1 x 1 1 1 1\n", err: "a time in stat"},
		"empty":        {err: "no line of all processors"},
	} {
		t.Run(name, func(t *testing.T) {
			all, busy, err := parseMachineStat(test.text)
			if err == nil && (all != test.all || busy != test.busy) {
				t.Errorf("all %s, busy %s, want %s and %s", all, busy, test.all, test.busy)
			}
			checkError(t, err, test.err)
		})
	}
}

func TestParseKilobytes(t *testing.T) {
	const status = "Name:\tmintmark\nVmRSSX:\t  1 kB\nVmPeak:\t 1300000 kB\nVmRSS:\t   95224 kB\nVmSwap:\t0 MB\nVmHWM:\tx kB\n"
	for key, test := range map[string]struct {
		want int64
		err  string
	}{
		"VmRSS":  {want: 95224 * 1024},
		"VmSwap": {err: "not in kB"},
		"VmHWM":  {err: "VmHWM"},
		"RSS":    {err: "no RSS"},
	} {
		t.Run(key, func(t *testing.T) {
			got, err := parseKilobytes(status, key)
			if got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
			checkError(t, err, test.err)
		})
	}
}

// TestCPUOfThisProcess works until that shows.
func TestCPUOfThisProcess(t *testing.T) {
	needProc(t)
	before, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	precise, err := ownTime()
	if err != nil {
		t.Fatal(err)
	}
	for end := precise; end-precise < 50*time.Millisecond; {
		if end, err = ownTime(); err != nil {
			t.Fatal(err)
		}
	}
	after, err := cpuTime(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if used := after - before; used < 30*time.Millisecond || used > 5*time.Second {
		t.Errorf("50ms of work are %s", used)
	}
	all, busy, err := machineTime()
	if err != nil || busy < after || all < busy {
		t.Errorf("the machine has worked %s of %s, this process %s, %v", busy, all, after, err)
	}
	twice, err := cpuTime(os.Getpid(), os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if twice < 2*after {
		t.Errorf("two processes used %s, one of them %s", twice, after)
	}
	if memory, err := resident(os.Getpid()); err != nil || memory < 1<<20 || memory > 1<<34 {
		t.Errorf("%d bytes resident, %v", memory, err)
	}
}

func TestNoSuchProcess(t *testing.T) {
	const pid = 1 << 30
	if _, err := cpuTime(pid); err == nil {
		t.Error("the CPU of a process that isn't there")
	}
	if _, err := resident(pid); err == nil {
		t.Error("the memory of a process that isn't there")
	}
}

func needProc(t *testing.T) {
	t.Helper()
	if err := checkProc(); err != nil {
		t.Skip(err)
	}
}

// checkError looks for a text in an error, or for no error.
func checkError(t *testing.T, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("failed: %v", err)
	case want != "" && (err == nil || !strings.Contains(err.Error(), want)):
		t.Errorf("error %v, want %q in it", err, want)
	}
}
