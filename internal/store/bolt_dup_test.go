//go:build unix && !linux

package store

import (
	"os"
	"syscall"
)

// putUnder makes an open file another one.
func putUnder(dev, file *os.File) error {
	return syscall.Dup2(int(dev.Fd()), int(file.Fd()))
}
