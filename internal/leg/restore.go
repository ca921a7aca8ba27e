package leg

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/emiago/sipgo/sip"

	"parkd/internal/dialog"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// spread is over what time restored legs say by re-INVITE that they have moved.
const spread = 500 * time.Millisecond

// Restore takes the legs of a former process up again: dialogs, media on the
// ports that they had, session timers, keep-alive. It sends nothing: what is
// owed comes as effects. It returns the legs that could not be restored, which
// have ended so, and why: nil for one that had not begun. Call it before requests
// are served.
func (m *Manager) Restore(records map[string][]byte) map[string]error {
	gone := map[string]error{}
	list := make([]*revival, 0, len(records))
	for _, id := range slices.Sorted(maps.Keys(records)) {
		if len(records[id]) == 0 {
			gone[id] = nil
			continue
		}
		v, err := m.revive(id, records[id])
		if err != nil {
			gone[id] = err
			continue
		}
		list = append(list, v)
	}
	for _, v := range list { // all before any is given a port that may be another's
		v.rebind()
	}
	for _, v := range list {
		if err := v.restore(); err != nil {
			v.port.Close()
			gone[v.id] = err
		}
	}
	return gone
}

// revival is a leg on its way back from its record.
type revival struct {
	*Leg
	r    *record
	runs uint64 // processes that have run since the one that wrote the record
}

// revive reads a record.
func (m *Manager) revive(id string, b []byte) (*revival, error) {
	r, err := decode(b)
	if err != nil {
		return nil, err
	}
	if r.Epoch >= m.o.Epoch {
		return nil, fmt.Errorf("%w: of epoch %d, now %d", errRecord, r.Epoch, m.o.Epoch)
	}
	l := m.newLeg(id)
	v := &revival{Leg: l, r: r, runs: min(m.o.Epoch-r.Epoch-1, maxRuns)}
	if r.Call != "" {
		l.belong(r.Orbit, r.Call)
	}
	l.user, l.asked = r.User, r.Asked
	l.dialog, l.local, l.last = r.Dialog, r.Local, []byte(r.Last)
	l.dialog.LocalSeq += uint32(v.runs) * seqBlock
	l.ceiling = l.dialog.LocalSeq + seqBlock
	l.dialog.Flow = m.o.Endpoint.Present(l.dialog.Flow)
	l.session.interval = time.Duration(r.Session.Seconds) * time.Second
	l.session.ours, l.session.update = r.Session.Ours, r.Session.Update
	l.stale = time.Since(r.At) > 64*t1
	return v, nil
}

// maxRuns bounds the difference of two epochs, which is large once when a journal
// was lost.
const maxRuns = 1 << 12

// rebind binds the media socket that the leg had, for the stream that it sent.
func (v *revival) rebind() {
	if !v.r.Bound.IsValid() || v.r.State == recordCalling {
		return
	}
	port, err := v.m.o.Media.Resume(v.r.Bound, v.r.Place, v.runs)
	if err != nil {
		v.log.Warn().Err(err).Stringer("address", v.r.Bound).Msg("media port lost")
		return
	}
	v.bound = v.r.Bound.Addr()
	v.use(port)
}

// reopen binds another socket for a leg that has lost its own. It returns the
// address that is to be described.
func (v *revival) reopen() (netip.AddrPort, error) {
	if !v.bound.IsValid() {
		port, _, bound, err := v.m.open(v.dialog.Flow)
		if err != nil {
			return netip.AddrPort{}, err
		}
		v.bound = bound
		v.use(port)
	}
	return netip.AddrPortFrom(v.m.policy.Load().described(v.bound), v.port.LocalPort()), nil
}

func (v *revival) restore() error {
	switch v.r.State {
	case recordCalling:
		return v.restoreCalling()
	case recordAsked:
		return v.restoreAsked()
	case recordConfirmed:
		return v.restoreConfirmed()
	}
	return fmt.Errorf("%w: state %q", errRecord, v.r.State)
}

// restoreCalling: an INVITE of ours is or was about to be sent. Its call is
// parked again, so it is only to be taken back.
func (v *revival) restoreCalling() error {
	r := v.r
	if r.Target == nil || r.Invite == "" {
		return fmt.Errorf("%w: no invite", errRecord)
	}
	invite, err := sipua.ParseRequest(r.Invite)
	if err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	v.state = calling
	v.outbound.text, v.outbound.target = r.Invite, *r.Target
	v.outbound.target.Flow = v.m.o.Endpoint.Present(r.Target.Flow)
	v.m.add(v.Leg)
	v.m.lose(v.Leg, sipua.CallID(invite))
	return nil
}

// restoreAsked: their INVITE may have had its 200, but no ACK of it. It is
// answered once more, identically: with the address that it was told, be it no
// more ours, and the new one after the ACK.
func (v *revival) restoreAsked() error {
	req, err := v.m.o.Endpoint.Revive(v.r.Invite, v.dialog.Flow, v.dialog.Local)
	if err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	v.inbound.request, v.inbound.cseq = req, sipua.CSeq(req.Request)
	v.state = asked
	if v.described, err = description(req.Request); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	addr, err := v.reopen()
	if err != nil {
		return err
	}
	if addr != v.local.Addr {
		v.away = addr
	}
	if v.described != nil {
		if v.remote, err = sdp.Parse(v.described); err == nil {
			v.draft.body, v.draft.agreed, err = v.remote.Answer(v.local, "")
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	v.last = nil
	v.enter()
	return nil
}

// restoreConfirmed: a dialog that both ends know.
func (v *revival) restoreConfirmed() error {
	r, l := v.r, v.Leg
	if r.Agreed == nil || r.Remote == "" {
		return fmt.Errorf("%w: no session", errRecord)
	}
	var err error
	l.described = []byte(r.Remote)
	if l.remote, err = sdp.Parse(l.described); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	addr, err := v.reopen()
	if err != nil {
		return err
	}
	if _, err := l.m.o.Table.Add(l.dialog.ID, l.dialog.RemoteSeq, l.queue, l); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	l.state, l.outbound.acked, l.unsure = confirmed, true, r.Unsure
	l.agree(*r.Agreed)
	v.enter()
	contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
	if r.Moving || addr != l.local.Addr || contact.Address.String() != r.Contact {
		l.away = addr
	}
	_ = l.queue.Do(func() { // new: never full, never closed
		l.life.resume(l)
		l.session.resume(l)
		if l.unsure {
			l.verify()
		}
		if l.away.IsValid() {
			l.after(rand.N(spread), l.move)
		}
	})
	return nil
}

// enter makes a restored leg known.
func (l *Leg) enter() {
	l.m.add(l)
	if l.asked != 0 {
		l.key = inviteKey(l.dialog.CallID, l.dialog.Remote, l.asked)
		l.m.expect(l)
	}
}

// move tells the peer by re-INVITE where we are now.
func (l *Leg) move() {
	if l.state != confirmed || !l.away.IsValid() {
		return
	}
	l.log.Info().Stringer("address", l.away).Msg("leg has moved")
	l.local.Addr, l.local.Previous = l.away, l.last
	l.away = netip.AddrPort{}
	l.last = sdp.Offer(l.local, preferred(l.local.Codecs, l.codecName()))
	l.moving = true
	l.keepThen(nil, func() { // else another restart would not know the port
		if l.state == confirmed {
			l.reoffer()
		}
	})
}

// again takes an INVITE that repeats the one which a restored leg began with:
// its answer was lost, or it came twice.
func (l *Leg) again(req *sipua.Request) {
	x := &l.inbound
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
		case l.state != accepted || err != nil:
		case res.IsSuccess():
			l.acknowledged(nil)
		case res.StatusCode == sip.StatusCallTransactionDoesNotExists && l.stale:
			l.inbound.stop()
			l.lost("peer does not know the call")
		}
	})
}

// verify asks whether the peer of a return, whose answer may have had no ACK from
// the former process, still is there. If not, the two have never met.
func (l *Leg) verify() {
	req, err := l.dialog.NewRequest(sip.OPTIONS)
	if err != nil { // it was built before: cannot happen
		l.log.Error().Err(err).Msg("no keep-alive possible")
		return
	}
	l.send(req, func(res *sip.Response, err error) {
		switch {
		case l.state != confirmed || !l.unsure || err == nil && res.StatusCode < 200:
		case err != nil || res.StatusCode == sip.StatusCallTransactionDoesNotExists || res.StatusCode == sip.StatusRequestTimeout:
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
	if res.IsSuccess() {
		invite, err := sipua.ParseRequest(l.outbound.text)
		if err == nil {
			var d dialog.Dialog
			if d, err = dialog.FromResponse(invite, res, l.outbound.target.Flow); err == nil {
				l.decline(d, res)
			}
		}
		if err != nil {
			l.log.Warn().Err(err).Msg("answer unusable")
		}
	}
	l.finish(res.StatusCode)
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
