//go:build linux

package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"golang.org/x/sys/unix"
)

// sinks are where phones would receive: one socket each, whose filter throws
// every packet away in the kernel, so that receiving costs next to nothing. The
// runtime knows nothing of them, and is woken by none.
type sinks struct {
	fds   []int
	ports []int
}

func openSinks(n int) (*sinks, error) {
	s := &sinks{}
	for range n {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return nil, fmt.Errorf("socket: %w", err)
		}
		s.fds = append(s.fds, fd)
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return nil, fmt.Errorf("bind: %w", err)
		}
		at, err := unix.Getsockname(fd)
		if err != nil {
			return nil, fmt.Errorf("getsockname: %w", err)
		}
		s.ports = append(s.ports, at.(*unix.SockaddrInet4).Port)
	}
	return s, s.drop()
}

// at is where caller n receives; several share a sink if there are more of them.
func (s *sinks) at(n int) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), uint16(s.ports[n%len(s.ports)]))
}

// drop has all packets thrown away.
func (s *sinks) drop() error {
	filter := []unix.SockFilter{{Code: unix.BPF_RET | unix.BPF_K, K: 0}}
	program := unix.SockFprog{Len: 1, Filter: &filter[0]}
	for _, fd := range s.fds {
		if err := unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_FILTER, &program); err != nil {
			return fmt.Errorf("filter: %w", err)
		}
	}
	return nil
}

// keep has the kernel keep packets, with the time at which they came, until
// arrived takes them: as many as a socket's buffer takes, which is some seconds
// of music.
func (s *sinks) keep() error {
	for _, fd := range s.fds {
		if err := errors.Join(unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1),
			unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_FILTER, 0)); err != nil {
			return fmt.Errorf("time of packets: %w", err)
		}
	}
	return nil
}

// arrival is a packet of RTP as it came.
type arrival struct {
	at  time.Time
	seq uint16
	ts  uint32
}

// arrived takes the packets that a sink has kept.
func (s *sinks) arrived(i int) (list []arrival, err error) {
	buf, oob := make([]byte, 2048), make([]byte, 128)
	for {
		n, m, _, _, err := unix.Recvmsg(s.fds[i], buf, oob, unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, unix.EAGAIN):
			return list, nil
		case err != nil:
			return nil, err
		case n < 12:
			continue
		}
		at, err := stamp(oob[:m])
		if err != nil {
			return nil, err
		}
		list = append(list, arrival{at, binary.BigEndian.Uint16(buf[2:]), binary.BigEndian.Uint32(buf[4:])})
	}
}

// stamp is the time that the kernel put beside a packet.
func stamp(oob []byte) (time.Time, error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return time.Time{}, err
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SO_TIMESTAMPNS && len(m.Data) >= 16 {
			return time.Unix(int64(binary.NativeEndian.Uint64(m.Data)), int64(binary.NativeEndian.Uint64(m.Data[8:]))), nil
		}
	}
	return time.Time{}, errors.New("no time beside a packet")
}

func (s *sinks) close() {
	for _, fd := range s.fds {
		unix.Close(fd)
	}
}
