package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
)

// ownGroup has an interrupt from the terminal reach this program alone, which ends the others, and has these end with it.
func ownGroup() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// mountDisk puts a small disk at a directory, if this process may.
func mountDisk(dir string) (unmount func(), err error) {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+strconv.Itoa(diskBytes)); err != nil {
		return nil, fmt.Errorf("no file system can be mounted: %w", err)
	}
	return func() { _ = syscall.Unmount(dir, 0) }, nil // it ends with the machine
}

// usedBy returns how many megabytes of memory a process uses, and how many file descriptors.
func usedBy(pid int) (residentMB, descriptors int, err error) {
	process := "/proc/" + strconv.Itoa(pid)
	status, err := os.ReadFile(process + "/status")
	if err != nil {
		return 0, 0, err
	}
	open, err := os.ReadDir(process + "/fd")
	if err != nil {
		return 0, 0, err
	}
	_, resident, _ := bytes.Cut(status, []byte("VmRSS:"))
	var kilobytes int
	if _, err := fmt.Sscan(string(resident), &kilobytes); err != nil {
		return 0, 0, fmt.Errorf("the memory of process %d: %w", pid, err)
	}
	return kilobytes >> 10, len(open), nil
}
