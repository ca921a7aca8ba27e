package live

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

// SSRC is that of every stream that phones send.
const SSRC = 0x70686f6e

// Media is the RTP socket of a call.
type Media struct {
	p     *Phone
	conn  *net.UDPConn
	quiet chan struct{} // closed by close

	mu      sync.Mutex // leaf; guards all below
	changed chan struct{}
	Remote  netip.AddrPort
	PT      uint8 // what we send, as agreed
	event   uint8
	packets []Packet
	closed  bool
	seq     uint16
	ts      uint32
	tone    float64 // Hz; 0 = not talking yet

	decoders map[uint8]codec.Decoder // owned by read
}

// A Packet is one of RTP as it came.
type Packet struct {
	At      time.Time
	From    netip.AddrPort
	PT      uint8
	Marker  bool
	Seq     uint16
	TS      uint32
	SSRC    uint32
	Payload []byte
	Sound   []int16 // nil for telephone-event
}

// Static are the payload types of RFC 3551 6.
var Static = map[uint8]string{0: codec.PCMU, 8: codec.PCMA, 9: codec.G722}

func newMedia(p *Phone) *Media {
	local := net.TCPAddrFromAddrPort(netip.MustParseAddrPort(p.Conn.LocalAddr().String())).IP
	conn, err := net.ListenUDP("udp", &net.UDPAddr{IP: local})
	if err != nil {
		panic(err) // no socket left for a test
	}
	m := &Media{p: p, conn: conn, quiet: make(chan struct{}), changed: make(chan struct{}), decoders: map[uint8]codec.Decoder{}}
	p.wg.Go(m.read)
	return m
}

func (m *Media) local() netip.AddrPort { return m.conn.LocalAddr().(*net.UDPAddr).AddrPort() }

func (m *Media) close() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.closed {
		m.closed = true
		close(m.quiet)
		m.conn.Close()
	}
}

func (m *Media) read() {
	b := make([]byte, 2048)
	for {
		n, from, err := m.conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if n < 13 || b[0]>>6 != 2 || b[1] >= 192 && b[1] <= 223 { // RFC 5761 4: RTCP
			continue
		}
		p := Packet{
			At: time.Now(), From: netip.AddrPortFrom(from.Addr().Unmap(), from.Port()),
			PT: b[1] & 0x7f, Marker: b[1]&0x80 != 0, Seq: binary.BigEndian.Uint16(b[2:]),
			TS: binary.BigEndian.Uint32(b[4:]), SSRC: binary.BigEndian.Uint32(b[8:]), Payload: append([]byte(nil), b[12:n]...),
		}
		if name := Static[p.PT]; name != "" {
			if m.decoders[p.PT] == nil {
				m.decoders[p.PT] = codec.NewDecoder(name)
			}
			p.Sound = m.decoders[p.PT].Decode(nil, p.Payload)
		}
		m.mu.Lock()
		m.packets = append(m.packets, p)
		close(m.changed)
		m.changed = make(chan struct{})
		m.mu.Unlock()
	}
}

// Heard is how many packets have come so far.
func (m *Media) Heard() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return len(m.packets)
}

// Last is the last packet so far; nil if there was none.
func (m *Media) Last() *Packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.packets) == 0 {
		return nil
	}
	last := m.packets[len(m.packets)-1]
	return &last
}

// From returns the packets from the first-th on.
func (m *Media) From(first int) []Packet {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]Packet(nil), m.packets[first:]...)
}

// Hear waits for n packets from now on.
func (m *Media) Hear(n int) []Packet {
	m.p.t.Helper()
	first := m.Heard()
	m.Until(fmt.Sprintf("%d packets", n), func(all []Packet) bool { return len(all) >= first+n })
	return m.From(first)[:n]
}

// First waits for the first n packets of all.
func (m *Media) First(n int) []Packet {
	m.p.t.Helper()
	m.Until(fmt.Sprintf("%d packets", n), func(all []Packet) bool { return len(all) >= n })
	return m.From(0)[:n]
}

// Until waits until what has come so far is enough.
func (m *Media) Until(what string, enough func([]Packet) bool) {
	m.p.t.Helper()
	end := time.After(Patience)
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
			m.p.t.Fatalf("%s: never heard: %s, %d packets so far", m.p.Name, what, m.Heard())
		}
	}
}

// Tone waits for a packet that is a tone, looking from the first-th on, and
// returns when it came.
func (m *Media) Tone(hz float64, first int) (at time.Time) {
	m.p.t.Helper()
	next := first
	m.Until(fmt.Sprintf("%v Hz", hz), func(all []Packet) bool {
		for ; next < len(all); next++ {
			if p := all[next]; IsTone(p.Sound, RateOf(p.PT), hz) {
				at = p.At
				return true
			}
		}
		return false
	})
	return at
}

func RateOf(pt uint8) int { return codec.Rate(Static[pt]) }

// aim takes where to send and what from the other side's SDP.
func (m *Media) aim(sdp string) {
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
			fmt.Sscan(words[3], &m.PT)
		case strings.HasPrefix(line, "a=rtpmap:") && strings.Contains(line, "telephone-event/8000"):
			fmt.Sscan(strings.TrimPrefix(words[0], "a=rtpmap:"), &m.event)
		}
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		m.Remote = netip.AddrPortFrom(addr, port)
	}
}

// Talk sends a tone from now on, a packet each 20 ms, until the phone closes or talks
// in another one.
func (m *Media) Talk(hz float64) {
	m.mu.Lock()
	name, talks := Static[m.PT], m.tone > 0
	m.tone = hz
	m.mu.Unlock()
	if talks {
		return
	}
	enc, rate := codec.NewEncoder(name), codec.Rate(name)
	at := 0
	m.p.wg.Go(func() {
		ticker := time.NewTicker(20 * time.Millisecond)
		defer ticker.Stop()
		for {
			pt, ts := m.next(false)
			m.send(pt, ts, at == 0, enc.Encode(nil, Sine(m.pitch(), rate, at, rate/50)))
			at += rate / 50
			select {
			case <-ticker.C:
			case <-m.quiet:
				return
			}
		}
	})
}

func (m *Media) pitch() float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tone
}

// next moves the stream on by a frame, and says with what payload type.
func (m *Media) next(key bool) (pt uint8, ts uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ts += 160
	if key {
		return m.event, m.ts
	}
	return m.PT, m.ts
}

// send sends one packet.
func (m *Media) send(pt uint8, ts uint32, marker bool, payload []byte) {
	m.mu.Lock()
	m.seq++
	b := []byte{0x80, pt}
	if marker {
		b[1] |= 0x80
	}
	b = binary.BigEndian.AppendUint16(b, m.seq)
	b = binary.BigEndian.AppendUint32(b, ts)
	b = binary.BigEndian.AppendUint32(b, SSRC)
	to := m.Remote
	m.mu.Unlock()
	_, _ = m.conn.WriteToUDPAddrPort(append(b, payload...), to) // a closed socket sends nothing
}

// Press sends a key press of 100 ms as RFC 4733 has it.
func (m *Media) Press(digit byte) {
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

// An Offer is what a phone says about its audio. The zero offer is PCMU and
// PCMA with telephone-event 101.
type Offer struct {
	Formats   string // payload types
	Event     int
	Ptime     int
	Direction string
	version   int
}

func (o Offer) text(addr netip.AddrPort) string {
	if o.Formats == "" {
		o.Formats = "0 8"
	}
	if o.Event == 0 {
		o.Event = 101
	}
	if o.Ptime == 0 {
		o.Ptime = 20
	}
	if o.Direction == "" {
		o.Direction = "sendrecv"
	}
	family := "IP4"
	if addr.Addr().Is6() {
		family = "IP6"
	}
	lines := []string{
		"v=0", fmt.Sprintf("o=- 1 %d IN %s %s", o.version, family, addr.Addr()), "s=-",
		fmt.Sprintf("c=IN %s %s", family, addr.Addr()), "t=0 0",
		fmt.Sprintf("m=audio %d RTP/AVP %s %d", addr.Port(), o.Formats, o.Event),
		fmt.Sprintf("a=rtpmap:%d telephone-event/8000", o.Event), fmt.Sprintf("a=fmtp:%d 0-16", o.Event),
		fmt.Sprintf("a=ptime:%d", o.Ptime), "a=" + o.Direction,
	}
	return strings.Join(lines, "\r\n") + "\r\n"
}
