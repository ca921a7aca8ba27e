package leg

import (
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sipua"
)

// again takes an INVITE that repeats the one which a restored leg began with:
// its answer was lost, or it came twice.
func (l *Leg) again(req *sipua.Request) {
	x := &l.inbound
	branch, sentBy := req.Branch()
	if x.request != nil {
		if b, by := x.request.Branch(); b != branch || by != sentBy { // RFC 3261 17.2.3
			_ = req.Reply(sip.StatusLoopDetected, "") // RFC 3261 8.2.2.2
			return
		}
	}
	switch {
	case l.state == asked:
		req.SetLocalTag(l.dialog.Local)
		x.request = req
	case l.state == accepted && x.response != nil:
		req.SetLocalTag(l.dialog.Local)
		x.request = req
		if err := req.Respond(x.response); err != nil {
			l.log.Debug().Err(err).Msg("answer not sent again")
		}
	default: // RFC 3261 8.2.2.2: it has been answered long since
		_ = req.Reply(sip.StatusLoopDetected, "")
	}
}

// probeLater asks the peer of a restored leg whether it knows the dialog, for the
// former process may have had the ACK: on a stream no 200 is sent again that would
// bring another one, and elsewhere phones stop sending one after 64*T1. Before
// that a peer may not know the dialog yet, for want of the 200.
func (l *Leg) probeLater() {
	l.stale = l.stale || sip.IsReliable(l.dialog.Flow.Network)
	if l.stale {
		l.probe()
		return
	}
	l.after(t2, l.probe)
}

func (l *Leg) probe() {
	if l.state != accepted {
		return
	}
	req, err := l.dialog.NewRequest(sip.OPTIONS)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no keep-alive possible")
		return
	}
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case l.state != accepted || err == nil && res.StatusCode < 200:
		case err == nil && res.IsSuccess() || !l.port.Heard().IsZero(): // or its voice is heard
			l.acknowledged(nil)
		case err != nil:
			l.after(t2, l.probe)
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists && l.stale:
			l.inbound.stop()
			l.lost("peer does not know the call")
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
			l.stale = true // it has been sent the 200 for seconds
			l.after(t2, l.probe)
		default: // of somebody in between, as while a switch starts
			l.after(t2, l.probe)
		}
	})
}

// verify asks whether the peer of a return, whose answer may have had no ACK from
// the former process, still is there. If not, the two have never met.
func (l *Leg) verify() {
	if l.state != confirmed || !l.unsure {
		return
	}
	req, err := l.dialog.NewRequest(sip.OPTIONS)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no keep-alive possible")
		return
	}
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case l.state != confirmed || !l.unsure || err == nil && res.StatusCode < 200:
		case !l.port.Heard().IsZero():
			l.unsure = false
			l.keep()
		case err != nil || res.StatusCode == sip.StatusRequestTimeout:
			l.after(t2, l.verify) // keep-alive says when it is enough
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists:
			l.lost("return was never confirmed")
		default:
			l.unsure = false
			l.keep()
		}
	})
}

// Stray takes a response to an INVITE that matches no transaction: to one of a
// former process, or a 2xx that comes again.
func (m *Manager) Stray(res *sip.Response) {
	if res.StatusCode < 200 {
		return
	}
	if l := m.lost(sipua.CallID(res)); l != nil {
		l.post(func() { l.strayed(res) })
		return
	}
	if !res.IsSuccess() {
		return
	}
	id := dialog.ID{CallID: sipua.CallID(res), Local: sipua.FromTag(res), Remote: sipua.ToTag(res)}
	if e, ok := m.o.Table.Find(id); ok {
		if l, ok := e.Usage().(*Leg); ok {
			// RFC 3261 13.2.2.4: each 2xx is acknowledged.
			l.post(func() {
				l.sendACK(&l.dialog, res)
				if l.unsure && l.state == confirmed {
					l.unsure = false
					l.keep()
				}
			})
		}
	}
}

// strayed takes the end of an INVITE of the former process. Nobody wants its
// answer any more.
func (l *Leg) strayed(res *sip.Response) {
	if l.state != calling && l.state != ending {
		return
	}
	if !res.IsSuccess() {
		l.finish(res.StatusCode)
		return
	}
	if l.outbound.answer != nil {
		return // again: its end is being written down
	}
	if l.outbound.acked { // again: our ACK crosses it, or was lost
		if sipua.ToTag(res) == l.dialog.Remote {
			l.sendACK(&l.dialog, res)
		}
		return
	}
	invite, err := sipua.ParseRequest(l.outbound.text)
	if err == nil {
		l.dialog, err = dialog.FromResponse(invite, res, l.outbound.target.Flow)
	}
	if err == nil {
		_, err = l.m.o.Table.Add(l.dialog.ID, l.dialog.RemoteSeq, l.queue, l)
	}
	if err != nil {
		l.log.Warn().Err(err).Msg("answer unusable")
		l.finish(0)
		return
	}
	l.dialog.LocalSeq += seqBlock // beyond what the former process may have used before the answer
	// The dialog first: after the ACK there would be no other 200 to learn it from.
	l.settle(confirmed)
	l.outbound.answer = res
	l.keepThen(nil, func() { l.sendBye("no longer wanted") })
}

// inviteKey is what a retransmitted INVITE has in common with the first one.
func inviteKey(callID, fromTag string, cseq uint32) string {
	return strings.Join([]string{callID, fromTag, strconv.FormatUint(uint64(cseq), 10)}, " ")
}

// expect has INVITEs that repeat the one of a restored leg find it.
func (m *Manager) expect(l *Leg) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.began[l.key] = l
}

// begun finds the restored leg that an INVITE repeats; nil if there is none.
func (m *Manager) begun(req *sipua.Request) *Leg {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.began) == 0 {
		return nil
	}
	return m.began[inviteKey(sipua.CallID(req.Request), sipua.FromTag(req.Request), sipua.CSeq(req.Request))]
}

// lose has responses to a lost INVITE of ours find the leg; lost does.
func (m *Manager) lose(l *Leg, callID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.key = callID
	m.calling[callID] = l
}

func (m *Manager) lost(callID string) *Leg {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calling[callID]
}

// called has an INVITE of ours known that comes back to us.
func (m *Manager) called(l *Leg, callID string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	l.placed = callID
	m.ours[callID] = l
}

// looped reports whether an INVITE is one of ours that was sent back to us: the
// phone that a return calls forwards to an orbit. It must not be parked and so
// answered in the parker's name.
func (m *Manager) looped(req *sipua.Request) bool {
	id := sipua.CallID(req.Request)
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ours[id] != nil || m.calling[id] != nil
}
