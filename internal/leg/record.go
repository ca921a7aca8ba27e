package leg

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"time"

	"parkd/internal/dialog"
	"parkd/internal/orbit"
	"parkd/internal/sdp"
	"parkd/internal/sipua"
)

// recordFormat numbers what a record may hold; a reader knows all before its own.
const recordFormat = 1

// seqBlock is by how much the CSeq of our requests may rise before a record
// has to be written again.
const seqBlock = 1024

// errRecord is why a leg cannot be restored from what was written of it.
var errRecord = errors.New("unusable record of a leg")

// record is everything of a leg that must outlive the process, as the journal
// keeps it. Keys of SRTP must not: descriptions are masked.
type record struct {
	Format int `json:"format"`
	// Epoch of the process that wrote it. A later one takes CSeq from a block of
	// its own, by the difference: so none is used twice, and no start has to
	// write every record anew.
	Epoch  uint64        `json:"epoch"`
	State  string        `json:"state"` // asked, calling or confirmed
	User   string        `json:"user"`
	Orbit  string        `json:"orbit,omitempty"`
	Call   string        `json:"call,omitempty"`
	Dialog dialog.Dialog `json:"dialog"` // LocalSeq is a ceiling

	Bound   netip.AddrPort `json:"bound,omitzero"`  // the media socket
	Place   []byte         `json:"place,omitempty"` // of its RTP stream
	Local   sdp.Local      `json:"local,omitzero"`
	Last    string         `json:"last,omitempty"`   // our last description
	Remote  string         `json:"remote,omitempty"` // the peer's last description
	Agreed  *sdp.Agreed    `json:"agreed,omitempty"`
	Contact string         `json:"contact,omitempty"` // ours, as the peer knows it
	Moving  bool           `json:"moving,omitempty"`  // the peer may not know Last yet
	Wish    *sdp.Direction `json:"wish,omitempty"`    // what the peer wants to send and receive; nil: as Remote says
	Unsure  bool           `json:"unsure,omitempty"`  // our ACK may not have been sent
	Asked   uint32         `json:"asked,omitempty"`   // CSeq of the INVITE that the peer began with
	Name    string         `json:"name,omitempty"`    // that the peer authenticated with then; "" = nobody asked
	Hops    int            `json:"hops,omitempty"`    // Max-Forwards of that INVITE; 0 = not known
	At      time.Time      `json:"at"`                // when this was written
	Session session        `json:"session,omitzero"`
	Told    orbit.Party    `json:"told,omitzero"` // whom the peer knows at the other end
	Able    able           `json:"able,omitzero"`
	// Referred is the leg to whose peer this one's was referred.
	Referred string `json:"referred,omitempty"`

	// Invite is the text of the INVITE that began the leg, while it is open:
	// theirs until the ACK, or ours until the answer, sent to Target.
	Invite string        `json:"invite,omitempty"`
	Target *sipua.Target `json:"target,omitempty"`
}

// session is what lasts of a session timer.
type session struct {
	Seconds int64 `json:"seconds,omitempty"`
	Ours    bool  `json:"ours,omitempty"`
	Update  bool  `json:"update,omitempty"`
}

// The states of a record.
const (
	recordAsked     = "asked"     // their INVITE has no ACK yet, and perhaps no answer
	recordCalling   = "calling"   // our INVITE is to be sent, or has been
	recordConfirmed = "confirmed" // both ends know the dialog
)

// record writes the leg down. Runs on the queue, or before the leg is shared.
func (l *Leg) record() []byte {
	l.ceiling = l.dialog.LocalSeq + seqBlock
	r := record{
		Format: recordFormat, Epoch: l.m.o.Epoch, User: l.user, Orbit: l.orbit, Call: l.owner,
		Dialog: l.dialog, Asked: l.asked, Name: l.name, Hops: l.hops, At: time.Now(),
		Local: l.local, Last: string(sdp.Mask(l.last)), Remote: string(sdp.Mask(l.described)), Agreed: l.agreed, Moving: l.moving, Told: l.told, Able: l.able, Referred: l.referred,
		Session: session{Seconds: int64(l.session.interval / time.Second), Ours: l.session.ours, Update: l.session.update},
	}
	r.Dialog.LocalSeq = l.ceiling
	r.Local.Previous = nil // Last
	if l.agreed != nil {
		wish := l.wish
		r.Wish = &wish
	}
	switch {
	case l.bound.IsValid():
		r.Bound, r.Place = netip.AddrPortFrom(l.bound, l.port.LocalPort()), l.port.Place()
	case l.homeless != nil:
		r.Bound, r.Place = l.homeless.Bound, l.homeless.Place
	}
	switch {
	case l.state == planned || l.state == calling:
		r.State, r.Invite, r.Target = recordCalling, masked(l.outbound.text), l.outbound.target
	case l.state == confirmed:
		r.State, r.Unsure = recordConfirmed, l.unsure || l.outbound.answer != nil
		contact := l.m.o.Endpoint.Contact(l.user, l.dialog.Flow)
		r.Contact = contact.Address.String()
	case l.inbound.request != nil:
		r.State, r.Invite = recordAsked, masked(sipua.Text(l.inbound.request.Request))
	}
	b, err := json.Marshal(&r)
	if err != nil { // plain values: cannot happen
		l.log.Error().Err(err).Msg("leg cannot be written down")
	}
	return b
}

// masked is a message without keys of SRTP.
func masked(text string) string { return string(sdp.Mask([]byte(text))) }

// decode reads a record back.
func decode(b []byte) (*record, error) {
	var r record
	switch err := json.Unmarshal(b, &r); {
	case err != nil:
		return nil, fmt.Errorf("%w: %w", errRecord, err)
	case r.Format < 1 || r.Format > recordFormat:
		return nil, fmt.Errorf("%w: format %d", errRecord, r.Format)
	}
	return &r, nil
}

// maxWaiting bounds what waits for the journal in one leg.
const maxWaiting = 16

// waiting is something that waits until a record is durable.
type waiting struct {
	request *sipua.Request // that is answered then; nil if none is
	then    func()
}

// keep writes the leg down.
func (l *Leg) keep() { l.m.tell(orbit.Note{Leg: l.id, Record: l.record()}) }

// keepThen writes the leg down, and does then once that is durable; never, if the
// decider has ended: that is left to the next process. req is the request that is
// answered by it, nil if there is none.
func (l *Leg) keepThen(req *sipua.Request, then func()) {
	l.waiting = append(l.waiting, waiting{req, then})
	l.m.tell(orbit.Note{Leg: l.id, Record: l.record(), Reply: true})
}

// noted: the oldest record that is waited for is durable.
func (l *Leg) noted() {
	if l.skip > 0 {
		l.skip--
		return
	}
	if len(l.waiting) == 0 {
		return // carried out before
	}
	w := l.waiting[0]
	l.waiting = l.waiting[1:]
	w.then()
}

// spent writes the leg down in time before it has used up the CSeq numbers that
// the record covers.
func (l *Leg) spent() {
	if l.dialog.LocalSeq+seqBlock/2 > l.ceiling && l.state == confirmed {
		l.keep()
	}
}
