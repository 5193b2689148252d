package main

import (
	"fmt"
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
