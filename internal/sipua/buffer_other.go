//go:build !linux

package sipua

import "syscall"

// WidenBuffers asks for buffers of that many bytes for a UDP socket. What it got
// is not known here: 0.
func WidenBuffers(c syscall.Conn, bytes int) (got int) {
	if s, ok := c.(interface {
		SetReadBuffer(int) error
		SetWriteBuffer(int) error
	}); ok {
		_, _ = s.SetReadBuffer(bytes), s.SetWriteBuffer(bytes)
	}
	return 0
}

func readBuffer(syscall.Conn) int { return 0 }
