//go:build !linux

package datadir

// memoryDir knows no file system in memory on other systems than Linux.
func memoryDir() string { return "" }
