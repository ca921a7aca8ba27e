//go:build amd64 || arm64

package rtpmusic

import "unsafe"

// prefetch has the processor fetch what is at p into its cache, and does not wait. It
// reads nothing: no mutex is needed.
//
//go:noescape
func prefetch(p unsafe.Pointer, size uintptr)
