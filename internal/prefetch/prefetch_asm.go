//go:build amd64 || arm64

package prefetch

import "unsafe"

// memory asks for one line at least, wherever that is: what cannot be read is not fetched.
//
//go:noescape
func memory(p unsafe.Pointer, size uintptr)
