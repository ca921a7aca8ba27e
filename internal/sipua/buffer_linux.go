package sipua

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// WidenBuffers asks for buffers of that many bytes for a UDP socket, if need be
// past the limit of the system, which a process with CAP_NET_ADMIN may. It returns
// the size that the receive buffer has, as it was asked for; 0 = not known.
func WidenBuffers(c syscall.Conn, bytes int) (got int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		for _, o := range [][2]int{{unix.SO_RCVBUFFORCE, unix.SO_RCVBUF}, {unix.SO_SNDBUFFORCE, unix.SO_SNDBUF}} {
			if unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[0], bytes) != nil {
				_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, o[1], bytes)
			}
		}
	})
	return readBuffer(c) / 2 // socket(7): the kernel doubles it
}

// readBuffer is the size of a receive buffer, with what the kernel adds for its
// own; 0 = not known.
func readBuffer(c syscall.Conn) (n int) {
	raw, err := c.SyscallConn()
	if err != nil {
		return 0
	}
	_ = raw.Control(func(fd uintptr) {
		n, err = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF)
	})
	if err != nil {
		return 0
	}
	return n
}
