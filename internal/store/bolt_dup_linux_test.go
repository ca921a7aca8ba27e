package store

import (
	"os"

	"golang.org/x/sys/unix"
)

// putUnder makes an open file another one.
func putUnder(dev, file *os.File) error {
	return unix.Dup3(int(dev.Fd()), int(file.Fd()), unix.O_CLOEXEC)
}
