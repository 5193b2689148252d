//go:build !linux

package apiserver

// releaseProgram does nothing here.
func releaseProgram() {}
