package presence

import (
	"context"
	"sync"
	"time"

	"parkd/internal/sipua"

	"github.com/emiago/sipgo/sip"
)

// largest is how long a NOTIFY over UDP may be without TCP being tried first
// (RFC 3261 18.1.1), in bytes.
const largest = 1300

// huge is how long one may be that no connection would be tried for: that of a list
// with one lit member, with all its names.
const huge = 4096

// telling is a NOTIFY on its way.
type telling struct {
	s       *sub
	seq     uint32
	version uint32 // of its document
	flow    sipua.Flow
	sent    time.Time
	since   time.Time // the change that it tells; zero = none
	shown   string
	last    bool     // it says terminated
	over    bool     // its transaction is, without an answer
	full    bool     // of a list: it names all members
	members []string // of a list: those whose documents it has
	showing showings // what they show
	missed  bool     // of a list: they are told again
	again   bool     // if that comes to nothing, at once

	// How it ended, for Run:
	answer sipua.Answer
	err    error

	exchange sipua.Exchange     // by the way that is known
	cancel   context.CancelFunc // by one that is looked for; nil = by the other
}

// stop ends the transaction.
func (t *telling) stop() {
	if t.cancel != nil {
		t.cancel()
		return
	}
	t.exchange.Stop()
}

// sheet is what a document is written on before it is copied into its NOTIFY. What a
// list needs beside is there when one has been written on it.
type sheet struct {
	doc              [1024]byte
	docs, rlmi, body []byte
}

// docsRoom is what documents of a list's members are written in, in bytes: as many as
// go over UDP.
const docsRoom = 3 << 10

var sheets = sync.Pool{New: func() any { return new(sheet) }}

// Answered implements sipua.Asker.
func (t *telling) Answered(a sipua.Answer, err error) {
	t.answer, t.err = a, err
	_ = t.s.queue.Run(t)
}

// Run implements dialog.Work.
func (t *telling) Run() { t.s.answered(t, t.answer, t.err) }

// Reseq implements sipua.Asker.
func (t *telling) Reseq(use func(uint32)) {
	_ = t.s.queue.Post(func() {
		t.seq = t.s.rec.Dialog.NextSeq()
		use(t.seq)
		t.s.low()
	})
}

// routed looks for the way of the NOTIFYs; the dialog is another one now.
func (s *sub) routed() {
	s.way = sipua.Way{}
	if d := &s.rec.Dialog; d.Plain() && sipua.Clean(s.rec.EventID) == s.rec.EventID {
		s.way, _ = s.n.o.Endpoint.Way(d.To())
	}
}

// write writes the NOTIFY that goes by the way that is known; nil if it must go
// by one that is looked for. contact is our URI.
func (s *sub) write(t *telling, contact string, doc Document, now time.Time) []byte {
	if !s.way.Valid() {
		return nil
	}
	x, d := &t.exchange, &s.rec.Dialog
	x.Way, x.Asker, x.NAT = s.way, t, d.NAT && len(d.Routes) == 0
	if s.silent {
		x.Once = single
	}
	b := x.Begin(sip.NOTIFY, d.Target)
	b = d.AppendHeaders(b, sip.NOTIFY, d.LocalSeq+1)
	b = append(append(append(b, "Contact: <"...), contact...), ">\r\nEvent: "...)
	b = append(b, s.event()...)
	if s.rec.List { // RFC 4662 4.1
		b = append(b, "\r\nRequire: "+eventlist...)
	}
	b = append(b, "\r\nSubscription-State: "...)
	b = append(s.state(now).Append(b), "\r\n"...)
	b = x.Seal(b, doc.ContentType, doc.Body)
	if len(b) > largest && (len(b) > huge || !s.way.Only(d.NAT)) {
		return nil
	}
	return b
}

// start sends what write has written.
func (s *sub) start(t *telling, wire []byte) {
	if err := t.exchange.Start(wire); err != nil {
		_ = s.queue.Post(func() { s.answered(t, sipua.Answer{}, err) })
	}
}

// send has the endpoint look for a way.
func (s *sub) send(t *telling, req *sip.Request) {
	var ctx context.Context
	ctx, t.cancel = context.WithCancel(s.n.ctx)
	to := s.rec.Dialog.To()
	to.Reseq = t.Reseq
	s.n.o.Endpoint.Request(ctx, req, to, func(res *sip.Response, err error) {
		switch {
		case err != nil:
			_ = s.queue.Post(func() { s.answered(t, sipua.Answer{}, err) })
		case res.StatusCode >= 200:
			a := sipua.AnswerOf(res)
			_ = s.queue.Post(func() { s.answered(t, a, nil) })
		}
	})
	if s.silent && s.rec.Dialog.Flow.Network == "udp" {
		s.n.o.Wheel.After(single, s.queue, t.cancel)
	}
}
