package phone

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"parkd/test/kit/fakenet"
)

// Media is a call's RTP socket.
type Media struct {
	p  *Phone
	wg *sync.WaitGroup

	mu     sync.Mutex // leaf; guards all below
	conn   *fakenet.Conn
	remote netip.AddrPort
	pt     uint8 // to send with
	event  uint8
	got    []RTP
	tape   *[]byte       // payload in the order that it came; nil = not kept
	talk   chan struct{} // closed to fall silent; nil = silent
	voice  byte          // what is said
	seq    uint16
	ts     uint32
	closed bool

	keys     *secrets // of SRTP; nil = it is not spoken
	proto    string   // of the other end's description
	breaches []Breach
	unread   int
}

// RTP is a packet as it came.
type RTP struct {
	At        time.Time
	From      netip.AddrPort
	PT        uint8
	Marker    bool
	Seq       uint16
	Timestamp uint32
	SSRC      uint32
	Len       int  // of the payload
	First     byte // of the payload
	Second    byte
	Keyed     time.Time // when the key that protects it was told; zero = in the clear
}

const (
	frame = 20 * time.Millisecond
	slow  = 100 * time.Millisecond // between two packets of Murmur
)

func newMedia(p *Phone, port uint16) *Media {
	m := &Media{p: p, wg: &p.wg, keys: newSecrets(p.srtp)}
	m.listen(port)
	return m
}

// listen binds a port, in place of the one before. The phone's lock is held.
func (m *Media) listen(port uint16) {
	conn, err := m.p.net.Listen(netip.AddrPortFrom(m.p.conn.AddrPort().Addr(), port))
	if err != nil {
		panic(err) // a phone has no two calls with one port
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.conn != nil {
		m.conn.Close()
	}
	m.conn = conn
	m.wg.Go(func() { m.read(conn) })
}

// Move binds another port, which the next description names; nothing is heard
// on the old one any more.
func (m *Media) Move() {
	m.p.mu.Lock()
	defer m.p.mu.Unlock()
	m.listen(m.p.mediaPort())
}

// Local is where the phone receives.
func (m *Media) Local() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.conn.AddrPort()
}

func (m *Media) read(conn *fakenet.Conn) {
	b := make([]byte, 2048)
	for {
		n, from, err := conn.ReadFromUDPAddrPort(b)
		if err != nil {
			return
		}
		if n < 14 || b[0] != 0x80 {
			continue
		}
		got, keyed, ok := m.unlock(b[:n])
		if !ok || len(got) < 14 {
			continue
		}
		r := RTP{
			At: time.Now(), From: from, PT: b[1] & 0x7f, Marker: b[1]&0x80 != 0, Seq: binary.BigEndian.Uint16(b[2:]),
			Timestamp: binary.BigEndian.Uint32(b[4:]), SSRC: binary.BigEndian.Uint32(b[8:]), Len: len(got) - 12, First: got[12], Second: got[13], Keyed: keyed,
		}
		m.mu.Lock()
		m.got = append(m.got, r)
		if m.tape != nil {
			*m.tape = append(*m.tape, got[12:]...)
		}
		m.mu.Unlock()
	}
}

// unlock opens a packet, and says when its key was told; false if the phone cannot
// read it.
func (m *Media) unlock(b []byte) (plain []byte, keyed time.Time, ok bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys == nil {
		return b, time.Time{}, true
	}
	got, under, use, twice := m.keys.open(b)
	if twice != nil {
		m.breaches = append(m.breaches, *twice)
	}
	if !use {
		m.unread++
	}
	if under != nil {
		keyed = under.at
	}
	return got, keyed, use
}

// Record keeps the sound that comes from now on.
func (m *Media) Record() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.tape = new([]byte)
}

// Tape is what has been recorded, as it was encoded.
func (m *Media) Tape() []byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(*m.tape)
}

// aim takes where to send to from the other end's SDP, if there is one.
func (m *Media) aim(sdp string) {
	if sdp == "" {
		return
	}
	host, port, proto := "", 0, ""
	var formats []uint8
	event := uint8(0)
	for line := range strings.Lines(sdp) {
		line = strings.TrimSpace(line)
		if after, ok := strings.CutPrefix(line, "c=IN IP4 "); ok {
			host = after
		}
		if words := strings.Fields(line); strings.HasPrefix(line, "m=audio") && len(words) > 3 {
			proto = words[2]
			fmt.Sscan(words[1], &port)
			for _, w := range words[3:] {
				n := uint8(0)
				fmt.Sscan(w, &n)
				formats = append(formats, n)
			}
		}
		if n, ok := strings.CutPrefix(line, "a=rtpmap:"); ok && strings.Contains(n, "telephone-event") {
			fmt.Sscan(n, &event)
		}
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || len(formats) == 0 {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.proto = proto
	if m.keys != nil {
		m.keys.take(sdp)
	}
	m.remote, m.pt, m.event = netip.AddrPortFrom(addr, uint16(port)), formats[0], event
}

// Remote is where the other end receives.
func (m *Media) Remote() netip.AddrPort {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.remote
}

// Got lists what has come since a time; the zero time is for ever.
func (m *Media) Got(since time.Time) []RTP {
	m.mu.Lock()
	defer m.mu.Unlock()
	for i, r := range m.got {
		if !r.At.Before(since) {
			return append([]RTP(nil), m.got[i:]...)
		}
	}
	return nil
}

// Hear waits and returns what comes meanwhile.
func (m *Media) Hear(d time.Duration) []RTP {
	start := time.Now()
	time.Sleep(d)
	return m.Got(start)
}

// Talk sends a packet every 20 ms whose payload is that byte, until Quiet. Who
// talks already goes on. It returns the byte that is sent.
func (m *Media) Talk(b byte) byte { return m.talkEvery(b, frame) }

// Murmur is Talk with four packets of five left out: enough to be told from
// silence, and cheap.
func (m *Media) Murmur(b byte) byte { return m.talkEvery(b, slow) }

// Sampled talks like Talk; of its packets every 64th arrives.
func (m *Media) Sampled(b byte) byte { return m.talkEvery(b, 64*frame) }

func (m *Media) talkEvery(b byte, every time.Duration) byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.talk != nil || m.closed {
		return m.voice
	}
	m.voice = b
	quiet := make(chan struct{})
	m.talk = quiet
	m.wg.Go(func() {
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		payload := strings.Repeat(string([]byte{b}), 160)
		for {
			select {
			case <-ticker.C:
				pt, ts := m.next(false)
				m.send(pt, false, ts, payload)
			case <-quiet:
				return
			}
		}
	})
	return b
}

// Voice is what Talk or Murmur said last; 0 if they never did.
func (m *Media) Voice() byte {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.voice
}

// Quiet ends Talk.
func (m *Media) Quiet() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.talk != nil {
		close(m.talk)
		m.talk = nil
	}
}

// next moves the stream on by a frame.
func (m *Media) next(event bool) (pt uint8, ts uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ts += 160
	if event {
		return m.event, m.ts
	}
	return m.pt, m.ts
}

func (m *Media) send(pt uint8, marker bool, ts uint32, payload string) {
	m.mu.Lock()
	m.seq++
	b := []byte{0x80, pt, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7}
	if marker {
		b[1] |= 0x80
	}
	binary.BigEndian.PutUint16(b[2:], m.seq)
	binary.BigEndian.PutUint32(b[4:], ts)
	to, conn := m.remote, m.conn
	b = append(b, payload...)
	if m.keys != nil && m.keys.out != nil {
		b, _ = m.keys.out.EncryptRTP(nil, b, nil) // well formed: cannot fail
	}
	m.mu.Unlock()
	if to.IsValid() {
		_, _ = conn.WriteToUDPAddrPort(b, to) // a closed socket sends nothing
	}
}

// Press presses a key for 100 ms by RFC 4733: packets of the event every 20 ms,
// the last of them three times with the end bit.
func (m *Media) Press(digit byte) {
	code := byte(strings.IndexByte("0123456789*#ABCD", digit))
	pt, ts := m.next(true) // RFC 4733 2.2.1: its start, in all of its packets
	for i := range 8 {
		duration, end := uint16(160*(i+1)), byte(0)
		if i >= 5 {
			duration, end = 160*6, 0x80
		}
		m.send(pt, i == 0, ts, string([]byte{code, end | 10, byte(duration >> 8), byte(duration)}))
		time.Sleep(frame)
	}
}

// Close closes the socket.
func (m *Media) Close() {
	m.Quiet()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.closed = true
	m.conn.Close()
}

// lock has a description say what the call has of SRTP.
func (m *Media) lock(s *SDP, answer bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s.proto, s.locks = "", nil
	if m.keys == nil {
		return
	}
	s.locks = m.keys.lines(answer)
	switch {
	case answer:
		s.proto = m.proto
	case m.keys.Only:
		s.proto = "RTP/SAVP"
	}
}

// overhear takes note of the keys that a message tells, whatever becomes of it.
func (m *Media) overhear(sdp string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.keys != nil {
		m.keys.overhear(sdp)
	}
}

// SDP is what the phone says about its audio. The zero SDP offers PCMU, PCMA
// and telephone-event, sendrecv.
type SDP struct {
	Formats   string // payload types: "0 8 101"
	Direction string // sendonly, ...
	Address   string // instead of the phone's, as 0.0.0.0
	Removed   bool   // port 0

	version int
	proto   string            // "" = RTP/AVP
	locks   []string          // a=crypto lines
	maps    map[string]string // numbers of an offer that is answered
}

// answer keeps what an offer allows.
func (s *SDP) answer(offer string) {
	s.maps = map[string]string{}
	formats := s.Formats
	if formats == "" {
		formats = "0 8 101"
	}
	ours := map[string]bool{}
	for _, f := range strings.Fields(formats) {
		ours[rtpmaps[f]] = true
	}
	way, offered := "sendrecv", []string(nil)
	for line := range strings.Lines(offer) {
		line = strings.TrimSpace(line)
		words := strings.Fields(line)
		switch {
		case strings.HasPrefix(line, "m=audio") && len(words) > 3:
			offered = words[3:]
		case strings.HasPrefix(line, "a=rtpmap:") && len(words) > 1:
			s.maps[strings.TrimPrefix(words[0], "a=rtpmap:")] = words[1]
		case line == "a=sendonly" || line == "a=recvonly" || line == "a=inactive":
			way = line[2:]
		}
	}
	var kept []string
	for _, f := range offered {
		if ours[s.maps[f]] {
			kept = append(kept, f)
		}
	}
	s.Formats = strings.Join(kept, " ")
	send := way != "sendonly" && way != "inactive" && s.Direction != "recvonly" && s.Direction != "inactive"
	recv := way != "recvonly" && way != "inactive" && s.Direction != "sendonly" && s.Direction != "inactive"
	s.Direction = map[[2]bool]string{{true, true}: "sendrecv", {true, false}: "sendonly", {false, true}: "recvonly", {}: "inactive"}[[2]bool{send, recv}]
}

var rtpmaps = map[string]string{
	"0": "PCMU/8000", "8": "PCMA/8000", "9": "G722/8000", "18": "G729/8000", "96": "telephone-event/8000", "101": "telephone-event/8000",
}

// Text is the description as a message carries it, of media received at addr.
func (s SDP) Text(addr netip.AddrPort) string { return s.text(addr) }

func (s *SDP) text(addr netip.AddrPort) string {
	formats, way, host := s.Formats, s.Direction, s.Address
	if formats == "" {
		formats = "0 8 101"
	}
	if way == "" {
		way = "sendrecv"
	}
	if host == "" {
		host = addr.Addr().String()
	}
	port := addr.Port()
	if s.Removed {
		port = 0
	}
	lines := []string{
		"v=0", fmt.Sprintf("o=- 1 %d IN IP4 %s", s.version, addr.Addr()), "s=-", "c=IN IP4 " + host, "t=0 0",
		fmt.Sprintf("m=audio %d %s %s", port, cmp.Or(s.proto, "RTP/AVP"), formats),
	}
	lines = append(lines, s.locks...)
	for _, f := range strings.Fields(formats) {
		name := s.maps[f]
		if name == "" {
			name = rtpmaps[f]
		}
		lines = append(lines, "a=rtpmap:"+f+" "+name)
	}
	return strings.Join(append(lines, "a=ptime:20", "a="+way), "\r\n") + "\r\n"
}
