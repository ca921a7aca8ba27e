package sipua

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/emiago/sipgo/sip"
)

// Asker is told how an Exchange ends.
type Asker interface {
	// Answered takes the final response, or the error if there was none
	// (ErrTimeout, ErrTransport, ErrClosed, wrapped). It is called once, where
	// responses are read, and must not block.
	Answered(Answer, error)
	// Reseq is Target.Reseq, for a challenge that is answered: it calls use where
	// Start and Stop are called, or nothing more happens.
	Reseq(use func(cseq uint32))
}

// Exchange is a client transaction for a request other than INVITE that goes a
// Way (RFC 3261 17.1.2). It has no goroutine, timer or context of its own: the
// caller writes the message, between Begin and Seal, and Start sends it. What an
// ordinary response says is read without taking it apart; whatever is odd about
// one, and challenges, go through the parser.
type Exchange struct {
	Way   Way
	Asker Asker
	// Once, if not 0, has the request sent once: ErrTimeout comes after that long
	// instead of 64*T1.
	Once time.Duration
	NAT  bool // Target.NAT

	method sip.RequestMethod
	branch branch
	wire   []byte
	given  map[string]bool // the realms that have been given credentials
	longer *Transaction    // with them it is too long for UDP; nil = it is not

	// Owned by exchanges.mu:
	room       *room // that wire is in; nil = it has none that others get after it
	readers    int   // of wire, under way
	state      exchangeState
	proceeding bool          // there was a provisional response
	gap        time.Duration // of the retransmissions
	due        time.Time     // of the next one, or of the end
	end        time.Time     // Timer F
	round      *round        // that it waits in; nil = in none
	next, prev *Exchange     // in it
}

type exchangeState uint8

// The states of an exchange. RFC 3261 17.1.2.2 has Trying, Proceeding and
// Completed; a response that comes again is a stray one.
const (
	unsent exchangeState = iota
	open
	stopped
	over
)

// room is what a message is written in. It goes from one to the next: a message
// lives some milliseconds, and memory that the system has to find for each of ten
// thousand costs more than to send them.
type room [1536]byte

var rooms = sync.Pool{New: func() any { return new(room) }}

// Begin chooses a branch and begins a message with request line and Via.
func (x *Exchange) Begin(method sip.RequestMethod, uri string) []byte {
	l := x.Way.layer
	x.method, x.branch = method, l.exchanges.branches.next()
	x.room = rooms.Get().(*room)
	b := append(x.room[:0], method...)
	b = append(b, ' ')
	b = append(b, uri...)
	b = append(b, " SIP/2.0\r\nVia: SIP/2.0/UDP "...)
	b = x.Way.appendVia(b)
	b = append(b, ";branch="...)
	b = x.branch.append(b)
	return append(b, ";rport\r\n"...) // RFC 3581 3
}

// Seal appends what comes last: the headers of the body, User-Agent, and the body.
func (x *Exchange) Seal(b []byte, contentType string, body []byte) []byte {
	if len(body) > 0 {
		b = append(b, "Content-Type: "...)
		b = append(b, Clean(contentType)...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "Content-Length: "...)
	b = strconv.AppendInt(b, int64(len(body)), 10)
	b = append(b, "\r\n"...)
	if agent := x.Way.layer.e.settings.Load().UserAgent; agent != "" {
		b = append(b, "User-Agent: "...)
		b = append(b, Clean(agent)...)
		b = append(b, "\r\n"...)
	}
	b = append(b, "\r\n"...)
	return append(b, body...)
}

// Start sends the message, which belongs to the exchange from then on: when that
// has ended it is no more. If it
// returns an error, ErrTransport or ErrClosed, wrapped, the Asker is not told.
func (x *Exchange) Start(wire []byte) error {
	l := x.Way.layer
	x.wire = wire
	if !l.exchanges.add(x) {
		return fmt.Errorf("%s: %w", x.method, ErrClosed)
	}
	err := l.packet.send(wire, x.Way.to)
	l.exchanges.release(x)
	if err != nil {
		if l.exchanges.remove(x) {
			return fmt.Errorf("%s: %w: %w", x.method, ErrTransport, err)
		}
	}
	return nil
}

// Stop ends the exchange without a word to anybody. The Asker is not told, unless
// that is happening. An exchange may be stopped that has ended or was never started.
func (x *Exchange) Stop() {
	if x.Way.layer != nil {
		x.Way.layer.exchanges.stop(x)
	}
	if x.longer != nil {
		x.longer.Abandon()
	}
}

// tell passes the end on; a panic there costs this exchange only.
func (x *Exchange) tell(a Answer, err error) {
	defer x.Way.layer.e.recovered("response")
	x.Asker.Answered(a, err)
}

// challenged answers a 401 or 407 with another request (RFC 3261 22.2), under a
// CSeq that the Asker gives. It is sent there, where exchanges are stopped, too: so
// one that is overtaken meanwhile sends nothing any more.
func (x *Exchange) challenged(res *sip.Response) {
	l := x.Way.layer
	m, err := sip.ParseMessage(bytes.Clone(x.wire))
	l.exchanges.release(x)
	req, ok := m.(*sip.Request)
	if err != nil || !ok {
		x.tell(AnswerOf(res), nil)
		return
	}
	if x.given == nil {
		x.given = map[string]bool{}
	}
	next, ok := l.e.authorize(req, res, nil, x.given)
	if !ok {
		x.tell(AnswerOf(res), nil)
		return
	}
	x.Asker.Reseq(func(seq uint32) {
		if !l.exchanges.renew(x) {
			return
		}
		next.ReplaceHeader(&sip.CSeqHeader{SeqNo: seq, MethodName: x.method})
		if long(next) {
			x.goOn(next)
			return
		}
		l.e.address(next, hop{layer: l, network: "udp", addr: x.Way.to.String(), local: l.packet.local}, string(x.branch.append(nil)))
		sanitize(next)
		if err := x.Start([]byte(next.String())); err != nil {
			x.tell(Answer{}, err)
		}
	})
}

// goOn has a request that has grown too long for UDP go where the endpoint finds a way
// (RFC 3261 18.1.1), as those do that are as long from the beginning.
func (x *Exchange) goOn(req *sip.Request) {
	to := Target{Flow: x.Way.flow(), Addr: x.Way.to.String(), NAT: x.NAT, Reseq: x.Asker.Reseq}
	x.longer = x.Way.layer.e.Request(context.Background(), req, to, func(res *sip.Response, err error) {
		switch {
		case errors.Is(err, context.Canceled): // stopped
		case err != nil:
			x.tell(Answer{}, err)
		case res.StatusCode >= 200:
			x.tell(AnswerOf(res), nil)
		}
	})
}
