package sipua

import "syscall"

// ReceiveBuffer is how many bytes of packets the system keeps for a UDP listener
// until they are read, as it counts them: the least of all listeners; 0 = not
// known.
func (e *Endpoint) ReceiveBuffer() int {
	least := 0
	for _, l := range e.layers {
		if l.packet == nil {
			continue
		}
		n := 0
		if c, ok := l.packet.PacketConn.(syscall.Conn); l.packet.raw != nil {
			n = l.packet.raw.buffer()
		} else if ok {
			n = readBuffer(c)
		}
		if n <= 0 {
			return 0
		}
		if least == 0 || n < least {
			least = n
		}
	}
	return least
}
