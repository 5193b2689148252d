//go:build !linux

package agent

import "context"

// releaseProgram does nothing: other systems count such pages in other ways.
func releaseProgram(context.Context) {}
