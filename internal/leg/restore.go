package leg

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"time"

	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// spread is over what time restored legs send what each has to send: no more than
// a thousand requests a second go out because of a start.
func (m *Manager) spread() time.Duration {
	return max(500*time.Millisecond, time.Duration(m.revived)*time.Millisecond)
}

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
	m.revived = len(list)
	for _, v := range list { // all before any is given a port that may be another's
		v.rebind()
	}
	for _, v := range list {
		if err := v.restore(); err != nil {
			v.state = ended // it looks for no port any more
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
	l.restored = true
	v := &revival{Leg: l, r: r, runs: min(m.o.Epoch-r.Epoch-1, maxRuns)}
	if r.Call != "" {
		l.belong(r.Orbit, r.Call)
	}
	l.user, l.asked, l.name, l.hops = r.User, r.Asked, r.Name, r.Hops
	l.party, l.told, l.able, l.referred = r.Told, r.Told, r.Able, r.Referred
	l.dialog, l.local, l.last = r.Dialog, r.Local, []byte(r.Last)
	if l.local.Security != sdp.Off {
		l.local.Keys = newKeys()
	}
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
	v.outbound.text, v.outbound.target = r.Invite, r.Target
	v.outbound.target.Flow = v.m.o.Endpoint.Present(r.Target.Flow)
	v.outbound.target.Credentials = v.m.policy.Load().credentials(r.User)
	v.m.add(v.Leg)
	v.m.lose(v.Leg, sipua.CallID(invite))
	return nil
}

// restoreAsked: their INVITE may have had its 200, but no ACK of it. It is
// answered once more, identically: with the address that it was told, be it no
// more ours, and the new one after the ACK. Only a key of SRTP is another one, under
// which nothing is sent: a peer that has had the first 200 passes this one over, and
// either learns of the key that counts after the ACK.
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
	v.reopen()
	v.whereabouts()
	if v.described != nil {
		if v.remote, err = sdp.Parse(v.described); err == nil {
			v.draft, err = drafted(v.remote, v.local)
		}
		if err == nil && v.draft.agreed.Secured.Suite != "" { // RFC 3264 8: it is another description
			v.local.Version += v.runs + 1
			v.draft, err = drafted(v.remote, v.local)
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	v.last = nil
	// At once: what the peer sent meanwhile may come before the answer is owed.
	if _, err := v.m.o.Table.Add(v.dialog.ID, v.dialog.RemoteSeq, v.queue, v.Leg); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	v.enter()
	return nil
}

// restoreConfirmed: a dialog that both ends know. One without a session, for the
// answer to our offer was lost, makes another offer.
func (v *revival) restoreConfirmed() error {
	r, l := v.r, v.Leg
	var err error
	if r.Remote != "" {
		l.described = []byte(r.Remote)
		if l.remote, err = sdp.Parse(l.described); err != nil {
			return fmt.Errorf("%w: %w", errRecord, err)
		}
	}
	v.reopen()
	if _, err := l.m.o.Table.Add(l.dialog.ID, l.dialog.RemoteSeq, l.queue, l); err != nil {
		return fmt.Errorf("%w: %w", errRecord, err)
	}
	if l.wish = l.remote.Wish(); r.Wish != nil {
		l.wish = *r.Wish
	}
	if l.moving = r.Moving; !r.Moving {
		l.accepted = l.said()
	}
	l.state, l.outbound.acked, l.unsure = confirmed, true, r.Unsure
	if r.Agreed != nil {
		l.agree(*r.Agreed)
	}
	l.behind = sdp.Mentioned(l.last) // its keys are masked
	v.enter()
	v.whereabouts()
	_ = l.queue.Do(func() { // new: never full, never closed
		l.life.resume(l)
		l.session.resume(l)
		if l.unsure {
			l.after(rand.N(l.m.spread()/8), l.verify)
		}
		switch {
		case l.away.IsValid():
			l.after(rand.N(l.m.spread()), l.move)
		case r.Agreed == nil, l.locked():
			l.moving = true // until there is a session
			l.after(rand.N(l.m.spread()), l.tellAgain)
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
