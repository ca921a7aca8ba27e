//go:build !linux

package sipua

import (
	"errors"
	"net"
	"net/netip"
	"time"
)

// rawUDP is nothing on this system: package net has the sockets.
type rawUDP struct{}

var errWoken = errors.New("woken")

func openRaw(net.PacketConn, func() bool) *rawUDP { return nil }
func (*rawUDP) wake()                             {}
func (*rawUDP) read() ([]byte, netip.AddrPort, time.Time, error) {
	return nil, netip.AddrPort{}, time.Time{}, net.ErrClosed
}
func (*rawUDP) send(b []byte, to netip.AddrPort) error { return net.ErrClosed }
func (*rawUDP) sendAll([]packet)                       {}
func (*rawUDP) buffer() int                            { return 0 }
func (*rawUDP) close() error                           { return nil }
