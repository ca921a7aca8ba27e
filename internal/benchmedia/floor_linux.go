package benchmedia

import (
	"context"
	"fmt"
	"net/netip"
	"runtime"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// packetSize is that of RTP with 20 ms of G.711: 12 octets of header and 160.
const packetSize = 172

// clockEvery is after how many packets the floor looks at the clock, as parkd does.
const clockEvery = 16

// Floor is a bare paced sender to so many addresses: as many plain UDP sockets,
// one thread, phases of 1 ms, one sendto a packet, and nothing else. It sends for warm
// and then for window, which alone is counted. As parkd, it passes a phase over that is
// late by a whole packet.
func Floor(ctx context.Context, to []netip.AddrPort, warm, window time.Duration) (Sent, error) {
	type result struct {
		sent Sent
		err  error
	}
	done := make(chan result, 1)
	go func() {
		runtime.LockOSThread() // until it ends, and the thread with it
		sent, err := floor(ctx, to, warm, window)
		done <- result{sent, err}
	}()
	r := <-done
	return r.sent, r.err
}

// bare is one stream of the floor.
type bare struct {
	fd int
	to unix.RawSockaddrInet4
}

func floor(ctx context.Context, to []netip.AddrPort, warm, window time.Duration) (s Sent, err error) {
	var slots [Slots][]bare
	defer func() {
		for _, slot := range slots {
			for i := range slot {
				_ = unix.Close(slot[i].fd) // nothing is left to be done about it
			}
		}
	}()
	for i, a := range to {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
		if err != nil {
			return s, fmt.Errorf("sockets of the floor: %w", err)
		}
		port := a.Port()
		slots[i%Slots] = append(slots[i%Slots], bare{fd, unix.RawSockaddrInet4{
			Family: unix.AF_INET, Port: port<<8 | port>>8, Addr: a.Addr().As4()}})
		// A port of its own, as music has; sending would give it one, too.
		if err := unix.Bind(fd, &unix.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
			return s, fmt.Errorf("sockets of the floor: %w", err)
		}
	}
	packet := make([]byte, packetSize)
	packet[0] = 0x80
	clock := newPace()
	var cpu, began time.Duration
	first, last := warm.Milliseconds(), (warm + window).Milliseconds()
	for tick := int64(0); tick < last && ctx.Err() == nil; tick++ {
		due := time.Duration(tick) * time.Millisecond
		if tick == first {
			s, cpu, began = Sent{}, threadCPU(), clock.now()
		}
		clock.until(due)
		slot := slots[tick%Slots]
		if clock.now()-due >= Slots*time.Millisecond {
			s.Skipped += len(slot)
			continue
		}
		for len(slot) > 0 {
			n := min(len(slot), clockEvery)
			for i := range slot[:n] {
				slot[i].send(packet)
			}
			s.Late.add(clock.now()-due, n)
			s.Packets += n
			slot = slot[n:]
		}
	}
	s.CPU, s.Took = threadCPU()-cpu, clock.now()-began
	return s, ctx.Err()
}

func (s *bare) send(b []byte) {
	_, _, _ = unix.RawSyscall6(unix.SYS_SENDTO, uintptr(s.fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)),
		unix.MSG_NOSIGNAL, uintptr(unsafe.Pointer(&s.to)), unix.SizeofSockaddrInet4)
}
