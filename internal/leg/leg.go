package leg

import (
	"fmt"
	"net/netip"
	"sync/atomic"
	"time"

	"github.com/emiago/sipgo/sip"
	"github.com/rs/zerolog"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// state is where the INVITE usage of a leg stands.
type state uint8

const (
	planned   state = iota // our INVITE is wanted but not sent
	asked                  // their INVITE waits for a decision
	accepted               // answered with 200, no ACK yet
	confirmed              // ACK seen or sent
	calling                // our INVITE waits for an answer
	ending                 // our BYE or CANCEL waits for its answer
	ended
)

// Leg is one INVITE dialog and its media. Whatever happens to it runs on its
// queue, one thing at a time.
type Leg struct {
	id    string
	m     *Manager
	queue *dialog.Queue
	port  Port                   // silent until our INVITE is sent; else set before the leg is shared
	codec atomic.Pointer[string] // agreed; read by the leg it is joined with
	face  atomic.Pointer[face]   // likewise; nil before there is something to show
	turn  turn                   // of whoever decides what the peer hears

	// All below is owned by queue.
	log       zerolog.Logger
	state     state
	offered   bool // our 200 carried an offer: the answer comes with the ACK
	reported  bool // the decider knows of the end
	unsure    bool // restored, and perhaps our ACK was never sent
	stale     bool // restored when nobody waited for its 200 any more
	restored  bool // began in a former process
	dialog    dialog.Dialog
	ceiling   uint32         // CSeq up to which the record covers what we send
	user      string         // of our Contact: the orbit
	orbit     string         // for the log
	owner     string         // id of the call, for the log
	bound     netip.Addr     // of port; not valid while there is none
	local     sdp.Local      // our end
	last      []byte         // our last description
	draft     *draft         // the answer to their first offer, made before anybody decided; nil = taken
	described []byte         // the peer's last description, as it came
	remote    sdp.Remote     // and what it says
	agreed    *sdp.Agreed    // nil before there is something
	pairing                  // with another leg
	path                     // of its media
	bye       *orbit.Bye     // wanted as soon as the ACK allows it
	waiting   []waiting      // for the journal, in order
	skip      int            // how many were let go of and will be noted still
	asked     uint32         // CSeq of the INVITE that the peer began with; 0 = we did
	name      string         // that the peer authenticated with then; "" = nobody asked
	hops      int            // that the INVITE which the peer began with had left
	key       string         // in the manager's maps of restored legs
	placed    string         // Call-ID of our INVITE that it began with
	away      netip.AddrPort // where the media of a restored leg is now, to be told after the ACK
	moving    bool           // the peer has not answered yet that it knows
	retell    *dialog.Timer  // for another re-INVITE that says so
	patience  time.Duration  // before that
	unheard   bool           // the last one had no answer at all
	homeless  *record        // restored, and no media port was to be had yet
	party     orbit.Party    // who is at the other end
	told      orbit.Party    // and whom the peer knows there
	telling   bool           // it is being told
	able      able           // what the peer takes
	handing   *orbit.HandOff // wanted as soon as the ACK allows it
	referred  string         // the leg to whose peer this one's was referred last
	referSeq  uint32         // CSeq of that REFER; 0 = it was a former process's
	infos     infos          // that wait for what becomes of their keys
	inbound   inbound        // their INVITE or re-INVITE
	outbound  outbound       // ours
	forks     forks          // whom our first INVITE has reached
	refer     *reports       // of the peer's REFER; noReports before there is one
	refers    int            // REFERs of the peer's so far
	leave     *dialog.Timer  // for the peer to hang up, whose REFER succeeded
	life      life           // proof of life
	session   sessionTimer   // RFC 4028

	first *sipua.Transaction // of our INVITE that began the leg; nil = they began
}

// draft is a description of ours that was not sent yet, and what it agrees on.
type draft struct {
	body   []byte
	agreed sdp.Agreed
}

// drafted is the answer of our end to an offer.
func drafted(remote sdp.Remote, local sdp.Local) (*draft, error) {
	d := new(draft)
	var err error
	if d.body, d.agreed, err = remote.Answer(local, ""); err != nil {
		return nil, err
	}
	return d, nil
}

// inbound is an INVITE transaction of the peer's seen from its user: what the
// transaction layer leaves to it (RFC 3261 13.3.1.4).
type inbound struct {
	request  *sipua.Request
	response *sip.Response // our 2xx, sent again until the ACK
	resend   *dialog.Timer
	giveUp   *dialog.Timer
	cseq     uint32
	busy     bool // a re-INVITE is under way
}

// outbound is one of ours (RFC 3261 13.2.2.4).
type outbound struct {
	ours      *sipua.Transaction
	giveUp    *dialog.Timer
	text      string        // of our first INVITE, before it is sent
	target    *sipua.Target // and where it is sent; nil with the text
	answer    *sip.Response // its 2xx, not acknowledged before that is durable
	moved     []string      // whom its 3xx names
	declined  []dialog.ID   // of its answers that were too late
	said      orbit.Party   // whom it names
	rang      bool          // the phone that is called by it
	forwarded bool          // it went on to another number
	acked     bool          // the 2xx to it has been acknowledged
	busy      bool          // a re-INVITE is under way
}

// carry does one effect of a decision, the n-th of all. What the peer is to hear by it
// is left out if a newer one has said something else.
func (l *Leg) carry(e orbit.Effect, n uint64) {
	switch e := e.(type) {
	case orbit.Answer:
		l.answer(e, n)
	case orbit.Refuse:
		l.refuse(e.Err)
	case orbit.Play:
		if !l.turn.over(n) {
			l.part()
			l.play(e.Music, n)
			l.catchUp()
		}
	case orbit.Say:
		l.confirm() // the answer to our INVITE, if it is one who is asked something
		if !l.turn.over(n) {
			l.part()
			l.speak(e.Words, e.Then, n)
			l.catchUp()
		}
	case orbit.Park:
		l.park(e, n)
	case orbit.Report:
		l.referTold(e, n)
	case orbit.Message:
		l.message(e)
	case orbit.Bridge:
		if peer := l.m.find(e.Peer); peer != nil {
			peer.post(peer.confirm)
			l.join(peer, e.Direct, n)
		}
	case orbit.Identify:
		l.introduce(e.Party)
	case orbit.HandOff:
		l.handOff(e)
	case orbit.PassKey:
		l.passKey(e.Key)
	case orbit.KeyTaken:
		l.keyTaken(e.Info, sip.StatusOK)
	case orbit.Noted:
		l.noted()
	case orbit.Bye:
		l.hangup(e)
	}
}

// unmet reports whether the answer to our INVITE may have had no ACK: then its
// peer never met the caller.
func (l *Leg) unmet() bool { return l.unsure || l.outbound.answer != nil }

// play gives the peer music.
func (l *Leg) play(tune string, n uint64) {
	if l.state == ending || l.state == ended {
		return
	}
	l.assigned = true
	l.turn.take(n, func() { l.port.Play(tune) })
}

// speak says something to the peer, and gives them music or silence then.
func (l *Leg) speak(words []string, then string, n uint64) {
	if l.state == ending || l.state == ended {
		return
	}
	l.assigned = true
	l.turn.take(n, func() { l.port.Say(words, then) })
}

// agree sets the media that an offer and answer agreed on.
func (l *Leg) agree(a sdp.Agreed) {
	name := a.Codec.Name
	l.rekeyed(a.Secured)
	l.agreed = &a
	l.codec.Store(&name)
	l.port.Set(a)
	l.show()
	l.review()
}

// codecName is the agreed codec, "" before there is one. Any goroutine.
func (l *Leg) codecName() string {
	if p := l.codec.Load(); p != nil {
		return *p
	}
	return ""
}

// hangup ends the leg from our side, in the way that its state asks for.
func (l *Leg) hangup(e orbit.Bye) {
	switch l.state {
	case planned:
		l.finish(0)
	case asked:
		if l.restored { // it may have had its 200: no other answer can follow
			l.answer(orbit.Answer{Leg: l.id, Orbit: l.orbit, Call: l.owner}, 0)
			l.hangup(e)
			return
		}
		l.reject(errCancelled)
	case accepted:
		// RFC 3261 15: no BYE before the ACK or the end of waiting for it.
		l.bye = &e
		l.port.Close()
	case calling:
		l.cancel(e.Reason)
	case confirmed:
		l.sendBye(e.Reason)
	}
}

// sendBye ends the dialog (RFC 3261 15.1.1). The leg is over when the BYE is
// answered or has timed out.
func (l *Leg) sendBye(reason string) {
	l.confirm()
	referring := l.refer.open
	if referring {
		l.refer.report(sip.StatusRequestTerminated)
	}
	l.settle(ending)
	l.port.Close()
	l.log.Info().Str("reason", reason).Msg("leg released")
	if referring {
		l.after(notifyFirst, func() { l.bid(reason) })
		return
	}
	l.bid(reason)
}

// notifyFirst is by how much a BYE follows the last NOTIFY of a REFER: each goes its
// own way.
const notifyFirst = 20 * time.Millisecond

// bid sends the BYE.
func (l *Leg) bid(reason string) {
	if l.state != ending {
		return
	}
	req, err := l.dialog.NewRequest(sip.BYE)
	if err != nil {
		l.log.Error().Err(err).Msg("no bye possible")
		l.finish(0)
		return
	}
	req.AppendHeader(sip.NewHeader("Reason", "SIP;cause=200;text="+sipua.QuoteDisplay(reason))) // RFC 3326
	l.send(req, func(res *sip.Response, err error) {
		if err != nil || res.StatusCode >= 200 {
			l.finish(0)
		}
	})
}

// settle moves to a state and stops what belonged to the former one.
func (l *Leg) settle(s state) {
	l.state = s
	l.inbound.stop()
	l.outbound.giveUp.Stop()
	l.outbound.giveUp = nil
	if s == ending || s == ended {
		l.life.stop()
		l.session.stop()
		l.retell.Stop()
		l.pause.Stop()
		l.unlead()
		l.leave.Stop()
		l.abandon()
	}
}

// abandon lets go of what waits for an answer of ours: the dialog is over.
func (l *Leg) abandon() {
	if x := &l.inbound; x.busy && x.request != nil && x.response == nil {
		_ = x.request.Reply(sip.StatusRequestTerminated, "") // RFC 3261 15.1.2
	}
	l.refer.refuse(sip.StatusCallTransactionDoesNotExists)
	for _, w := range l.waiting {
		if w.request != nil {
			l.reply(w.request, sip.StatusCallTransactionDoesNotExists)
		}
	}
	for info := range l.infos {
		l.keyTaken(info, sip.StatusCallTransactionDoesNotExists)
	}
	l.skip += len(l.waiting)
	l.waiting = nil
}

func (x *inbound) stop() {
	x.resend.Stop()
	x.giveUp.Stop()
	x.resend, x.giveUp = nil, nil
}

// finish ends the leg for good and tells the decider, once. code is the status
// that ended an INVITE of ours, 0 if none did.
func (l *Leg) finish(code int) {
	if l.state == ended {
		return
	}
	l.part()
	l.settle(ended)
	l.port.Close()
	l.m.forget(l)
	l.report(code)
}

// report tells the decider that the leg has ended, once.
func (l *Leg) report(code int) {
	if !l.reported {
		l.reported = true
		l.m.tell(orbit.Hangup{Leg: l.id, Code: code, Rang: l.outbound.rang, Moved: l.outbound.moved, Lost: l.unmet()})
	}
}

// lost ends a leg that is of no use any more. Its peer may still be there, so
// a BYE is sent; the decider does not wait for the answer to that.
func (l *Leg) lost(why string) {
	if l.state == ending || l.state == ended {
		return
	}
	l.log.Warn().Str("reason", why).Msg("leg lost")
	l.part()
	if !l.reported {
		l.m.tell(orbit.Hangup{Leg: l.id, Lost: l.unmet(), Ending: true})
	}
	l.sendBye(why)
}

// send sends a request within the dialog. f runs on the leg's queue.
func (l *Leg) send(req *sip.Request, f func(*sip.Response, error)) *sipua.Transaction {
	to := l.dialog.To()
	to.Credentials = l.m.policy.Load().credentials(l.user)
	to.Reseq = func(use func(cseq uint32)) {
		l.post(func() {
			use(l.dialog.NextSeq())
			l.spent()
		})
	}
	l.spent()
	return l.m.o.Endpoint.Request(l.m.ctx, req, to, func(res *sip.Response, err error) {
		if err != nil && l.m.ctx.Err() != nil {
			return // it is we who stop: that says nothing about the peer
		}
		l.post(func() { f(res, err) })
	})
}

// post runs f on the leg's queue. One that a closed queue does not take
// belongs to a leg that is gone.
func (l *Leg) post(f func()) { _ = l.queue.Post(f) }

// after runs f on the leg's queue once d has passed.
func (l *Leg) after(d time.Duration, f func()) *dialog.Timer {
	return l.m.o.Wheel.After(d, l.queue, f)
}

// open binds a port for a leg on the address of ours that the peer at the end
// of the flow reaches, which it returns too, and describes it.
func (m *Manager) open(flow sipua.Flow) (Port, sdp.Local, netip.Addr, error) {
	bound, err := m.o.Endpoint.LocalAddr(flow)
	if err != nil {
		return nil, sdp.Local{}, bound, err
	}
	port, err := m.o.Media.Open(bound)
	if err != nil {
		return nil, sdp.Local{}, bound, fmt.Errorf("%w: %w", errNoPort, err)
	}
	p := m.policy.Load()
	keys := sdp.Keys{}
	if p.Security != sdp.Off {
		keys = newKeys()
	}
	id := uint64(time.Now().Unix()) + 2208988800 // RFC 4566 5.2: NTP time
	return port, sdp.Local{
		Addr:      netip.AddrPortFrom(p.described(bound), port.LocalPort()),
		RTCP:      port.RTCPPort(),
		SessionID: id, Version: id, Codecs: p.Codecs, User: "parkd", Security: p.Security, Keys: keys,
	}, bound, nil
}
