package sockets

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/pion/rtcp"
	"golang.org/x/sys/unix"

	"parkd/test/live"
)

// A caller behind a real NAT hears music, and is told how it is by RTCP that is neither
// multiplexed nor described. The NAT forgets everything and has other ports for the
// caller: music follows when its old port has been silent for five seconds and, at the
// latest 1.28 s later, a packet has passed the kernel's filter. A stranger who sends all
// the time gets nothing.
func TestMusicBehindNAT(t *testing.T) {
	if os.Getenv(inside) == "" {
		t.Parallel()
		enter(t)
		return
	}
	nat, behind := newNAT(t)
	nat.masquerades("30000-30999")
	s := newSite(t)
	s.start(strings.ReplaceAll(`
sip: {listen: [udp://AT:5060]}
access: {trusted: [203.0.113.0/24]}
`, "AT", keeping))
	var ann *live.Call
	var control *net.UDPConn
	behind.do(func() {
		ann = s.phone("ann", "udp", keeping+":5060").Call("701", live.Offer{})
		var err error
		if control, err = net.ListenUDP("udp4", nil); err != nil {
			t.Fatal(err)
		}
	})
	answer := ann.Answered()
	ann.Media.Talk(500)
	ann.Media.Hear(20)
	shunned := strange(t, ann.Media.Remote)
	reported(t, control, netip.AddrPortFrom(ann.Media.Remote.Addr(), rtcpOf(t, answer.Body)))

	heard := ann.Media.Heard()
	nat.masquerades("40000-40999")
	nat.forget()
	forgot := time.Now()
	// What was on its way still comes; then nothing until music has followed.
	var gap time.Duration
	next := heard
	ann.Media.Until("music after the NAT has changed its ports", func(all []live.Packet) bool {
		for ; next < len(all); next++ {
			if gap = all[next].At.Sub(all[next-1].At); gap > time.Second {
				return true
			}
		}
		return false
	})
	took := ann.Media.From(next)[0].At.Sub(forgot)
	t.Logf("music followed %v after the NAT had forgotten the caller", took)
	if took < 3500*time.Millisecond || took > 7*time.Second {
		t.Errorf("music followed after %v", took)
	}
	ann.Media.Hear(50)
	if n := shunned(); n > 0 {
		t.Errorf("a stranger got %d packets", n)
	}
	ann.Bye()
}

// masquerades has the NAT give UDP a port of a range from now on.
func (n *namespace) masquerades(ports string) {
	n.t.Helper()
	n.sh("nft flush chain ip nat out; nft add rule ip nat out oifname nat0 meta l4proto udp masquerade to :" + ports)
}

// forget has the NAT forget all connections, as conntrack -F does (ctnetlink's message
// to delete, without saying which).
func (n *namespace) forget() {
	n.t.Helper()
	var err error
	n.do(func() {
		var fd int
		if fd, err = unix.Socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER); err != nil {
			return
		}
		defer unix.Close(fd)
		const deleting = 2 // IPCTNL_MSG_CT_DELETE
		b := binary.NativeEndian.AppendUint32(nil, unix.NLMSG_HDRLEN+4)
		b = binary.NativeEndian.AppendUint16(b, unix.NFNL_SUBSYS_CTNETLINK<<8|deleting)
		b = binary.NativeEndian.AppendUint16(b, unix.NLM_F_REQUEST|unix.NLM_F_ACK)
		b = binary.NativeEndian.AppendUint64(b, 1) // sequence; port of whoever asks
		b = append(b, unix.AF_INET, unix.NFNETLINK_V0, 0, 0)
		if err = unix.Sendto(fd, b, 0, &unix.SockaddrNetlink{Family: unix.AF_NETLINK}); err != nil {
			return
		}
		reply := make([]byte, 4096)
		var size int
		if size, _, err = unix.Recvfrom(fd, reply, 0); err != nil {
			return
		}
		if code := int32(binary.NativeEndian.Uint32(reply[min(size, unix.NLMSG_HDRLEN):])); code != 0 {
			err = unix.Errno(-code)
		}
	})
	if err != nil {
		n.t.Skipf("left out: the system's NAT cannot be told to forget: %v", err)
	}
}

// strange has a stranger send a stream of its own to a port until the test ends. shunned
// is how many packets have come back.
func strange(t *testing.T, to netip.AddrPort) (shunned func() int) {
	c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.ParseIP(forgetful)})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	n, done := 0, make(chan struct{})
	wg.Go(func() {
		b := make([]byte, 2048)
		for {
			if _, _, err := c.ReadFromUDP(b); err != nil {
				return
			}
			mu.Lock()
			n++
			mu.Unlock()
		}
	})
	wg.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for seq := uint16(0); ; seq++ {
			b := binary.BigEndian.AppendUint16([]byte{0x80, 0}, seq)
			b = binary.BigEndian.AppendUint32(b, 160*uint32(seq))
			b = append(b, "odd."...)
			_, _ = c.WriteToUDPAddrPort(append(b, make([]byte, 160)...), to)
			select {
			case <-tick.C:
			case <-done:
				return
			}
		}
	})
	t.Cleanup(func() {
		close(done)
		c.Close()
		wg.Wait()
	})
	return func() int {
		mu.Lock()
		defer mu.Unlock()
		return n
	}
}

// rtcpOf is the port of an a=rtcp line (RFC 3605).
func rtcpOf(t *testing.T, sdp string) (port uint16) {
	t.Helper()
	_, rest, _ := strings.Cut(sdp, "a=rtcp:")
	if _, err := fmt.Sscan(rest, &port); err != nil {
		t.Fatalf("no a=rtcp: %v\n%s", err, sdp)
	}
	return port
}

// reported sends reports of the caller's stream, often enough for the NAT not to forget,
// until one comes back.
func reported(t *testing.T, c *net.UDPConn, to netip.AddrPort) {
	t.Helper()
	defer c.Close()
	own, err := rtcp.Marshal([]rtcp.Packet{&rtcp.ReceiverReport{SSRC: live.SSRC},
		&rtcp.SourceDescription{Chunks: []rtcp.SourceDescriptionChunk{{Source: live.SSRC, Items: []rtcp.SourceDescriptionItem{{Type: rtcp.SDESCNAME, Text: "ann"}}}}}})
	if err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 2048)
	for end := time.Now().Add(patience); time.Now().Before(end); {
		if _, err := c.WriteToUDPAddrPort(own, to); err != nil {
			t.Fatal(err)
		}
		if err := c.SetReadDeadline(time.Now().Add(forgets * time.Second / 3)); err != nil {
			t.Fatal(err)
		}
		n, from, err := c.ReadFromUDPAddrPort(b)
		if err != nil {
			continue
		}
		list, err := rtcp.Unmarshal(b[:n])
		if err != nil {
			t.Fatal(err)
		}
		if sr, ok := list[0].(*rtcp.SenderReport); !ok || sr.PacketCount == 0 || from != to {
			t.Errorf("reported from %v: %v", from, list)
		}
		return
	}
	t.Error("no report")
}
