//go:build !amd64 && !arm64

package rtpmusic

import "unsafe"

func prefetch(unsafe.Pointer, uintptr) {}
