package sockets

import (
	"encoding/xml"
	"fmt"
	"net"
	"time"

	"parkd/test/kit/wire"
)

// A lamp is a subscription of a phone's to an orbit.
type lamp struct {
	p       *phone
	d       *dialog
	asked   *request
	expires int

	notes []note // guarded by the phone's lock
}

// A note is a NOTIFY as it came.
type note struct {
	at      time.Time
	conn    net.Conn
	state   string // of the dialog: early, terminated
	version int
	head    *wire.Message
}

// watch subscribes to an orbit and returns at once.
func (p *phone) watch(ext string) *lamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &lamp{p: p, d: p.begin(p.at(ext)), expires: 3600}
	p.lamps = append(p.lamps, l)
	l.send(nil)
	return l
}

// send subscribes. The lock is held.
func (l *lamp) send(headers []string) {
	l.asked = l.p.send(l.d, "SUBSCRIBE", append([]string{
		"Event: dialog", "Accept: application/dialog-info+xml", fmt.Sprintf("Expires: %d", l.expires),
	}, headers...), "")
}

// retry repeats a refused SUBSCRIBE with credentials (RFC 3261 22.2).
func (l *lamp) retry(header string) {
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.send([]string{header})
}

// served waits for the 200.
func (l *lamp) served() {
	l.p.s.Helper()
	m := l.p.expect(l.asked, 200)
	l.p.mu.Lock()
	defer l.p.mu.Unlock()
	l.d.remoteTag, l.d.target = m.ToTag(), wire.Address(m.Get("Contact"))
}

// refresh subscribes again within the dialog, for so many seconds; 0 ends it.
func (l *lamp) refresh(expires int) {
	l.p.s.Helper()
	l.p.mu.Lock()
	l.expires = expires
	l.send(nil)
	l.p.mu.Unlock()
	l.p.expect(l.asked, 200)
}

// shows waits until the newest document shows a dialog in that state.
func (l *lamp) shows(state string) (n note) {
	l.p.s.Helper()
	l.p.await("lamp shows "+state, func() bool {
		if len(l.notes) > 0 {
			n = l.notes[len(l.notes)-1]
		}
		return n.state == state
	})
	return n
}

// notified takes a NOTIFY and returns the status to answer. The lock is held.
func (p *phone) notified(conn net.Conn, m *wire.Message) int {
	for _, l := range p.lamps {
		if l.d.callID != m.CallID() || l.d.localTag != m.ToTag() {
			continue
		}
		var doc struct {
			Version int `xml:"version,attr"`
			Dialogs []struct {
				State string `xml:"state"`
			} `xml:"dialog"`
		}
		if err := xml.Unmarshal([]byte(m.Body), &doc); err != nil || len(doc.Dialogs) != 1 {
			p.s.Errorf("%s: bad document (%v):\n%s", p.name, err, m.Body)
			return 400
		}
		l.notes = append(l.notes, note{at: time.Now(), conn: conn, state: doc.Dialogs[0].State, version: doc.Version, head: m})
		return 200
	}
	return 481
}
