// Package registry is the kit from which the REST storage of a resource is made: its Definition, what all strategies and
// tables share, subresources, and objects that are answered but not stored. The storage itself is in the packages below,
// one for each API group.
package registry
