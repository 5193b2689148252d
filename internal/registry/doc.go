// Package registry provides the parts of which the REST storage of a resource is made: Definition, the common strategy, tables,
// subresources, and objects that are answered but not stored. The packages below it hold the storage itself, one package for
// each API group.
package registry
