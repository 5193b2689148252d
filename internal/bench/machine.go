package main

import (
	"cmp"
	"debug/buildinfo"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// machine is where a run took place.
type machine struct {
	CPU        string
	Processors int
	Memory     int64 // bytes
	Kernel     string
}

func (m machine) String() string {
	return fmt.Sprintf("%s, %d processors, %.0f GB of memory, %s", m.CPU, m.Processors, float64(m.Memory)/1e9, m.Kernel)
}

// describe reads the description of the machine from /proc. Missing facts are left out.
func describe() machine {
	read := func(name string) string {
		text, err := os.ReadFile(filepath.Join(procDir, name))
		if err != nil {
			return ""
		}
		return string(text)
	}
	m := machine{Processors: runtime.NumCPU(), Kernel: runtime.GOOS}
	// There is no name on arm64.
	m.CPU, _ = lookUp(read("cpuinfo"), "model name")
	m.CPU = cmp.Or(m.CPU, runtime.GOARCH)
	m.Memory, _ = parseKilobytes(read("meminfo"), "MemTotal")
	// What follows the first two numbers is the distribution's.
	if release := strings.Split(strings.TrimSpace(read("sys/kernel/osrelease")), "."); len(release) > 1 {
		m.Kernel = "Linux " + release[0] + "." + release[1]
	}
	return m
}

// program is the build information of a binary.
type program struct {
	Go       string
	Revision string // empty if it wasn't built in a checkout
	Modified bool
}

func readProgram(binary string) (program, error) {
	info, err := buildinfo.ReadFile(binary)
	if err != nil {
		return program{}, fmt.Errorf("--binary: %w", err)
	}
	p := program{Go: info.GoVersion}
	for _, setting := range info.Settings {
		switch setting.Key {
		case "vcs.revision":
			p.Revision = setting.Value
		case "vcs.modified":
			p.Modified = setting.Value == "true"
		}
	}
	return p, nil
}
