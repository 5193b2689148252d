//go:build !linux

package main

import (
	"errors"
	"syscall"
)

// ownGroup has an interrupt from the terminal reach this program alone, which ends the others.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// mountDisk puts a small disk at a directory, which this program can do on Linux only.
func mountDisk(string) (unmount func(), err error) {
	return nil, errors.New("a small disk is mounted on Linux only")
}

func usedBy(int) (residentMB, descriptors int, err error) {
	return 0, 0, errors.New("what a process uses is read from /proc, which only Linux has")
}
