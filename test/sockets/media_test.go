package sockets

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"sync"
	"time"

	"parkd/internal/rtpmusic/codec"
)

// media is the RTP socket of a call.
type media struct {
	p     *phone
	conn  *net.UDPConn
	quiet chan struct{} // closed by close

	mu      sync.Mutex // leaf; guards all below
	changed chan struct{}
	remote  netip.AddrPort
	pt      uint8 // what we send, as agreed
	event   uint8
	packets []packet
	closed  bool
	seq     uint16
	ts      uint32

	decoders map[uint8]codec.Decoder // owned by read
}

// A packet is one of RTP as it came.
type packet struct {
	at      time.Time
	from    netip.AddrPort
	pt      uint8
	marker  bool
	seq     uint16
	ts      uint32
	ssrc    uint32
	payload []byte
	sound   []int16 // nil for telephone-event
}

// static are the payload types of RFC 3551 6.
var static = map[uint8]string{0: codec.PCMU, 8: codec.PCMA, 9: codec.G722}

func newMedia(p *phone) *media {
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.conn.LocalAddr().String())).IP
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: local})
	if err != nil {
		panic(err) // no socket left for a test
	}
	m := &media{p: p, conn: conn, quiet: make(chan struct{}), changed: make(chan struct{}), decoders: map[uint8]codec.Decoder{}}
	p.wg.Go(m.read)
	return m
}

func (m *media) local() netip.AddrPort { return m.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (m *media) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.quiet)
		m.conn.Close()
	}
}

func (m *media) read() {
	b := make([]byte, 2048)
	for {
		n, from, err := m.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if n < 13 || b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 { // RFC 5761 4: RTCP
			continue
		}
		p := packet{
			at: time.Now(), from: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
			pt: b[1] & 0x7f, marker: b[1]&0x80 != 0, seq: binary.BigEndian.Uint16(b[2:]),
			ts: binary.BigEndian.Uint32(b[4:]), ssrc: binary.BigEndian.Uint32(b[8:]), payload: append([]byte(nil), b[12:n]...),
		}
		if name := static[p.pt]; name != "" {
			if m.decoders[p.pt] == nil {
				m.decoders[p.pt] = codec.NewDecoder(name)
			}
			p.sound = m.decoders[p.pt].Decode(nil, p.payload)
		}
		m.mu.Lock()
		m.packets = append(m.packets, p)
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// heard is how many packets have come so far.
func (m *media) heard() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.packets)
}

// from returns the packets from the first-th on.
func (m *media) from(first int) []packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]packet(nil), m.packets[first:]...)
}

// hear waits for n packets from now on.
func (m *media) hear(n int) []packet {
	m.p.s.Helper()
	first := m.heard()
	m.until(fmt.Sprintf("%d packets", n), func(all []packet) bool { return len(all) >= first+n })
	return m.from(first)[:n]
}

// first waits for the first n packets of all.
func (m *media) first(n int) []packet {
	m.p.s.Helper()
	m.until(fmt.Sprintf("%d packets", n), func(all []packet) bool { return len(all) >= n })
	return m.from(0)[:n]
}

// until waits until what has come so far is enough.
func (m *media) until(what string, enough func([]packet) bool) {
	m.p.s.Helper()
	end := time.After(patience)
	for {
		m.mu.Lock()
		done, changed := enough(m.packets), m.changed
		m.mu.Unlock()
		if done {
			return
		}
		select {
		case <-changed:
		case <-end:
			m.p.s.Fatalf("%s: never heard: %s, %d packets so far", m.p.name, what, m.heard())
		}
	}
}

// tone waits for a packet that is a tone, looking from the first-th on, and
// returns when it came.
func (m *media) tone(hz float64, first int) (at time.Time) {
	m.p.s.Helper()
	next := first
	m.until(fmt.Sprintf("%v Hz", hz), func(all []packet) bool {
		for ; next < len(all); next++ {
			if p := all[next]; isTone(p.sound, rateOf(p.pt), hz) {
				at = p.at
				return true
			}
		}
		return false
	})
	return at
}

func rateOf(pt uint8) int { return codec.Rate(static[pt]) }

// aim takes where to send and what from the other side's SDP.
func (m *media) aim(sdp string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var host string
	var port uint16
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "c=IN IP"):
			host = words[2]
		case strings.HasPrefix(line, "m=audio "):
			fmt.Sscan(words[1], &port)
			fmt.Sscan(words[3], &m.pt)
		case strings.HasPrefix(line, "a=rtpmap:") && strings.Contains(line, "telephone-event/8000"):
			fmt.Sscan(strings.TrimPrefix(words[0], "a=rtpmap:"), &m.event)
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		m.remote = netip.AddrPortFrom(addr, port)
	}
}

// talk sends a tone from now on, a packet each 20 ms, until the phone closes.
func (m *media) talk(hz float64) {
	m.mu.Lock()
	name := static[m.pt]
	m.mu.Unlock()
	enc, rate := codec.NewEncoder(name), codec.Rate(name)
	at := 0
	m.p.wg.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			pt, ts := m.next(false)
			m.send(pt, ts, at == 0, enc.Encode(nil, sine(hz, rate, at, rate/50)))
			at += rate / 50
			select {
			case <-ticker.C:
			case <-m.quiet:
				return
			}
		}
	})
}

// next moves the stream on by a frame, and says with what payload type.
func (m *media) next(key bool) (pt uint8, ts uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ts += 160
	if key {
		return m.event, m.ts
	}
	return m.pt, m.ts
}

// send sends one packet.
func (m *media) send(pt uint8, ts uint32, marker bool, payload []byte) {
	m.mu.Lock()
	m.seq++
	b := []byte{0x80, pt}
	if marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, 0x70686f6e)
	to := m.remote
	m.mu.Unlock()
	_, _ = m.conn.WriteToUDPAddrPort(append(b, payload...), to) // a closed socket sends nothing
}

// press sends a key press of 100 ms as RFC 4733 has it.
func (m *media) press(digit byte) {
	code := byte(strings.IndexByte("0123456789*#ABCD", digit))
	pt, ts := m.next(true) // one timestamp for all of a press (2.5.1.2)
	for i := range 8 {     // the end three times (2.5.1.4)
		length, end := uint16(160*(i+1)), byte(0)
		if i >= 5 {
			length, end = 160*6, 0x80
		}
		m.send(pt, ts, i == 0, []byte{code, end | 10, byte(length >> 8), byte(length)})
	}
}

// An offer is what a phone says about its audio. The zero offer is PCMU and
// PCMA with telephone-event 101.
type offer struct {
	formats   string // payload types
	event     int
	ptime     int
	direction string
	version   int
}

func (o offer) text(addr netip.AddrPort) string {
	if o.formats == "" {
		o.formats = "0 8"
	}
	if o.event == 0 {
		o.event = 101
	}
	if o.ptime == 0 {
		o.ptime = 20
	}
	if o.direction == "" {
		o.direction = "sendrecv"
	}
	family := "IP4"
	if addr.Addr().Is6() {
		family = "IP6"
	}
	lines := []string{
		"v=0", fmt.Sprintf("o=- 1 %d IN %s %s", o.version, family, addr.Addr()), "s=-",
		fmt.Sprintf("c=IN %s %s", family, addr.Addr()), "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP %s %d", addr.Port(), o.formats, o.event),
		fmt.Sprintf("a=rtpmap:%d telephone-event/8000", o.event), fmt.Sprintf("a=fmtp:%d 0-16", o.event),
		fmt.Sprintf("a=ptime:%d", o.ptime), "a=" + o.direction,
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}
