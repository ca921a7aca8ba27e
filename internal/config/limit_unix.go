//go:build unix

package config

import "syscall"

// openFiles is how many files this process may open at once. (Go raises the soft
// limit to the hard one when a program starts.)
func openFiles() (n uint64, known bool) {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return 0, false
	}
	return uint64(limit.Cur), true
}
