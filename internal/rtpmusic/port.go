package rtpmusic

import (
	"math/rand/v2"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"parkd/internal/rtpmusic/packet"
	"parkd/internal/sdp"
)

// Session is what a port and its peer agreed on. The zero Session sends and
// accepts nothing.
type Session struct {
	Remote netip.AddrPort // where the peer wants to receive; unset, or port 0: nothing is sent
	Codec  string         // PCMU, PCMA or G722, in both directions
	PT     uint8          // payload type to send Codec with
	RecvPT uint8          // and to receive it with
	Also   [2]Format      // the peer may send these instead at any time

	EventPT     uint8 // payload type to send telephone-events with; 0 = none
	EventRecvPT uint8 // and to receive them with; 0 = none
	EventClock  int   // Hz: the unit of their durations, both ways; 0 is 8000

	// RTCP is where the peer wants reports; unset: none are sent. With Mux they go where
	// RTP goes, and come from there (RFC 5761).
	RTCP netip.AddrPort
	Mux  bool

	Ptime int  // ms of sound in a packet of music: 10 to 60; 0 is 20
	Send  bool // the peer wants to receive
	Recv  bool // the peer may send: what it sends is relayed

	Secured sdp.Secured // by SRTP, both ways; the zero Secured: in the clear
}

// Format is a codec and its payload type; the zero Format is none.
type Format struct {
	Codec string
	PT    uint8
}

// heard is the codec of what the peer sends with a payload type; "" for any other.
func (s *Session) heard(pt uint8) string {
	if pt == s.RecvPT {
		return s.Codec
	}
	for _, f := range s.Also {
		if f.Codec != "" && pt == f.PT {
			return f.Codec
		}
	}
	if pt == s.PT { // some peers send with the number that they told us to use
		return s.Codec
	}
	return ""
}

// Port is a UDP port with one peer.
type Port struct {
	e    *Engine
	num  uint16
	sock socket     // set before the port is used by two goroutines; closed under mu
	addr netip.Addr // that it is bound to

	heard atomic.Int64 // engine's clock; 0 = never

	reading sync.Mutex // held by who reads sock, until it is acted upon; locked before mu

	mu sync.Mutex // guards everything below; nothing waits under it

	// What a frame takes is together, up to music.tune: frameSize.
	closed bool
	lock   *lock // of SRTP; nil = in the clear
	out    out
	music  music

	session Session
	latch   latch
	inbox   inbox
	deaf    *filter      // of the session; for when nobody listens
	peer    *Port        // bridged with; nil = none
	relay   relay        // of what peer receives, into out
	spent   sdp.Key      // of ours, the last that was given up
	before  packet.Press // the last one before the bridge, which is none of peer's business
	onPlace func()
	asked   time.Duration // when onPlace was called last; 0 = never
	unasked bool          // it is to be called again

	control *control // of RTCP; nil = none. Set at the first of Resume, RTCPPort and Set
	reports reports

	keys     []press // that wait to be sent
	pressing bool    // they are being sent
}

func newPort(e *Engine, at netip.AddrPort) *Port {
	p := &Port{e: e, num: at.Port(), addr: at.Addr()}
	p.out.start()
	p.reports.cname = newCNAME()
	p.music.set(p.session)
	return p
}

// start draws what RFC 3550 5.1 wants to be random.
func (o *out) start() {
	o.ssrc, o.seq, o.ts = rand.Uint32(), uint16(rand.Uint32()), rand.Uint32()
	o.packets, o.octets = 0, 0
	o.raise()
	o.marker = true
}

// LocalPort returns the UDP port.
func (p *Port) LocalPort() uint16 { return p.num }

// Heard returns when the last packet came from the peer, RTP or RTCP; zero if
// none has.
func (p *Port) Heard() time.Time {
	at := p.heard.Load()
	if at == 0 {
		return time.Time{}
	}
	return p.e.start.Add(time.Duration(at))
}

// Source returns where the peer's packets come from; not valid while no packet has
// come since its last description.
func (p *Port) Source() netip.AddrPort {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.latch.settled {
		return netip.AddrPort{}
	}
	return p.latch.source
}

// Set takes what the two ends have agreed on, at each new description of the peer.
// Music that plays goes on in the new codec; a bridge stays.
func (p *Port) Set(s Session) {
	s.Remote, s.RTCP = plain(s.Remote), plain(s.RTCP)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	before := &p.session
	again := s.Remote == before.Remote && s.RTCP == before.RTCP && s.Mux == before.Mux
	p.session, p.inbox.codec = s, s.Codec
	p.secure(s.Secured)
	p.latch.set(s.Remote, Latch(p.e.latch.Load()), p.e.now())
	p.music.pass(p.e.tick()) // in the former codec
	p.music.set(s)
	p.aim()
	p.sock.watch(false)
	p.deaf = p.e.filters.of(s.EventPT, s.EventRecvPT)
	p.unscreen()
	p.out.woken = p.e.now()
	p.attend(again)
}

// aim points the socket at the latch's target.
func (p *Port) aim() {
	p.out.ready = p.session.Send && p.leads(p.latch.target) && p.lock.sends()
	p.sock.aim(p.latch.target)
	p.out.joined = false
	p.pace()
}

// leads says whether packets can be sent to an address: it is one, and of the socket's kind.
func (p *Port) leads(to netip.AddrPort) bool { return reachable(to) && to.Addr().Is4() == p.addr.Is4() }

// Play ends a bridge and plays a tune from its start until Stop, Bridge or Close.
// While the peer may not be sent to, the tune's time goes on all the same.
func (p *Port) Play(t Tune) {
	p.part()
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed || t == nil {
		return
	}
	p.change(t)
	p.pace()
}

// pace hands the port to a sender if it plays, its peer may be sent to and none has
// it. A sender gives it back as soon as one of these is over: music on hold costs
// nothing (but visit).
func (p *Port) pace() {
	m := &p.music
	if !m.playing || m.paced || !p.out.ready || m.codec == "" {
		return
	}
	m.pass(p.e.tick())
	m.paced = true
	p.e.pacer().add(p)
}

// visit is called by the wheel, every few seconds while the port is open, with room for
// a report. It returns when to come again, and 0 for never. The peer gets a report, on hold too, and music
// on hold goes on: it would keep a tune in memory that was replaced long ago.
func (p *Port) visit(room []byte) time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return 0
	}
	p.music.pass(p.e.tick())
	if p.unasked {
		p.replaced()
	}
	p.report(room)
	return untilReport(false)
}

// Stop ends the music, which fades out in a last frame; nothing of it is sent once
// Stop has returned.
func (p *Port) Stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.fadeOut()
	p.music.stop()
}

// OnKey sets who is told of the peer's key presses: f is called once a press, when
// the key is let go, with 0-9, *, # or A-D. Calls are never concurrent. f must
// not block, and may call methods of Port but not Engine.Close. A call that has
// begun may outlast Close; none begins after it.
func (p *Port) OnKey(f func(digit byte)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inbox.onKey = f
}

// Close ends the bridge and the music and gives the port back. It is idempotent.
func (p *Port) Close() {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return
	}
	p.bye()
	p.closed = true
	p.music.stop()
	p.leave()
	p.inbox.onKey, p.onPlace = nil, nil
	peer := p.peer
	p.peer = nil
	p.sock.close()
	p.mu.Unlock()
	if peer != nil {
		peer.unbridge(p)
	}
	p.e.release(p)
}
