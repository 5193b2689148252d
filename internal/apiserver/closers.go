package apiserver

import "slices"

// closers are the functions that give back what a server holds, in the order in which it was taken.
type closers []func()

// add takes in a function that gives something back.
func (c *closers) add(giveBack func()) { *c = append(*c, giveBack) }

// close gives everything back, the last thing first.
func (c *closers) close() {
	for _, giveBack := range slices.Backward(*c) {
		giveBack()
	}
	*c = nil
}
