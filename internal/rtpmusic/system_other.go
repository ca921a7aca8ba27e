//go:build !linux

package rtpmusic

import (
	"errors"
	"net"
	"net/netip"
	"runtime"
)

// systemListen makes sockets of the system: a goroutine reads each, and music is
// paced by timers.
func systemListen(addr netip.AddrPort) (Conn, error) {
	return net.ListenUDP("udp", net.UDPAddrFromAddrPort(addr))
}

// poller is of Linux only.
type poller struct{}

func (*poller) close() {}

func (*Engine) startPollers(int) error { return nil }

func (p *Port) bind(addr netip.AddrPort) error { return p.bindConn(addr) }

func newSleeper(e *Engine) sleeper { return newTimerSleeper(e) }

// cores is how many cores Go code may use.
func cores() int { return runtime.GOMAXPROCS(0) }

// sendNow sends a packet.
func sendNow(c Conn, b []byte, to netip.AddrPort) error {
	_, err := c.WriteToUDPAddrPort(b, to)
	return err
}

// look is for ports that doze, which is of Linux only.
func (*Port) look(*pacer) {}

// ring is of Linux only.
type ring struct{}

func newRing() (*ring, error) { return nil, errors.ErrUnsupported }

func (*ring) send([]frame) {}

func (*ring) close() {}
