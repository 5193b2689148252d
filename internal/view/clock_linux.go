package view

import "golang.org/x/sys/unix"

// sinceBoot is the clock that counts while the machine sleeps; CLOCK_MONOTONIC does not, here.
const sinceBoot = unix.CLOCK_BOOTTIME
