package rtpmusic

import (
	"bytes"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// In a network namespace, whose loopback interface takes 1,000 octets: what is longer
// arrives all the same, sent alone or by the ring; what is not goes out as a packet
// that nobody may cut up.
func TestPacketsTooLongForTheirPath(t *testing.T) {
	done := make(chan struct{})
	var barred error
	go func() { // a thread with another network, which ends with the goroutine
		defer close(done)
		runtime.LockOSThread()
		if barred = narrow(1000); barred == nil {
			sendLong(t)
		}
	}()
	<-done
	if barred != nil {
		t.Skipf("left out: the system allows no network namespaces: %v", barred)
	}
}

// narrow puts the thread into a network of its own.
func narrow(mtu uint32) error {
	if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
		return err
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	lo, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	lo.SetUint32(mtu)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFMTU, lo); err != nil {
		return err
	}
	lo.SetUint16(unix.IFF_UP)
	return unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, lo)
}

// sendLong uses no t.Fatal: it is not the test's goroutine.
func sendLong(t *testing.T) {
	e := NewEngine(Config{Ports: [2]uint16{20000, 20998}})
	defer e.Close()
	r, err := newRing()
	if err != nil {
		t.Logf("this system has no ring for us: %v", err)
	} else {
		defer r.close()
	}
	for _, joined := range []bool{false, true} {
		for _, ringed := range []bool{false, true} {
			if ringed && r == nil {
				continue
			}
			conn, to := listening(t)
			p, err := e.Open(loopback)
			if err != nil {
				t.Error(err)
				return
			}
			s := p.sock.(*rawSocket)
			s.aim(to)
			if joined && !s.join(true) {
				t.Error("not joined")
			}
			send := s.send
			if ringed {
				send = func(b []byte) error {
					f := []frame{{port: p, b: b}}
					r.send(f)
					return f[0].err
				}
			}
			for i, size := range []int{972, 973, 2000, 100} { // 20 octets of IP and 8 of UDP
				if err := send(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
					t.Errorf("joined %t, ring %t: %d octets: %v", joined, ringed, size, err)
				}
				b := make([]byte, maxDatagram)
				if n, err := unix.Read(conn, b); n != size || b[0] != byte(i) {
					t.Errorf("joined %t, ring %t: %d octets, %v, of %d", joined, ringed, n, err, size)
				}
				if v, err := unix.GetsockoptInt(s.fd, unix.IPPROTO_IP, unix.IP_MTU_DISCOVER); err != nil || (v == unix.IP_PMTUDISC_DO) != (i == 0) || s.whole != (i == 0) {
					t.Errorf("joined %t, ring %t: after %d octets IP_MTU_DISCOVER is %d (%v), whole %t", joined, ringed, size, v, err, s.whole)
				}
			}
			_ = unix.Close(conn)
			p.Close()
		}
	}
}

// listening is a socket that waits, for as long as patience at most.
func listening(t *testing.T) (fd int, at netip.AddrPort) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err == nil {
		err = unix.Bind(fd, &unix.SockaddrInet4{Addr: loopback.As4()})
	}
	if err == nil {
		limit := unix.NsecToTimeval(int64(patience / time.Nanosecond))
		err = unix.SetsockoptTimeval(fd, unix.SOL_SOCKET, unix.SO_RCVTIMEO, &limit)
	}
	sa, nameErr := unix.Getsockname(fd)
	if err != nil || nameErr != nil {
		t.Error(err, nameErr)
		return fd, at
	}
	return fd, netip.AddrPortFrom(loopback, uint16(sa.(*unix.SockaddrInet4).Port))
}
