//go:build !linux

package programpages

// Release does nothing: other systems count such pages in other ways.
func Release() {}
