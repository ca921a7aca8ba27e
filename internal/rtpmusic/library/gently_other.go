//go:build !linux

package library

// gently runs f; only Linux has priorities of threads that it could have.
func gently(f func()) { f() }
