package view

import "golang.org/x/sys/unix"

// sinceBoot is the clock that counts while the machine sleeps.
const sinceBoot = unix.CLOCK_MONOTONIC
