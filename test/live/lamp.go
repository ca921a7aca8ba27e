package live

import (
	"encoding/xml"
	"fmt"
	"net"
	"slices"
	"time"

	"parkd/test/kit/phone"
	"parkd/test/kit/wire"
)

// A Lamp is a subscription of a phone's to an orbit.
type Lamp struct {
	Phone   *Phone
	Dialog  *Dialog
	Asked   *Request
	expires int
	list    bool // it subscribes to an event list

	notes []Note // guarded by the phone's lock
}

// A Note is a NOTIFY as it came.
type Note struct {
	At       time.Time
	Conn     net.Conn
	State    string // of the dialog: early, terminated
	Call     string // the Call-ID that a press names
	Replaces string // the header of a press
	Remote   string // who is parked, by name
	Version  int
	Full     bool
	CSeq     uint32
	Head     *wire.Message
	Roll     *phone.Roll // of an event list, which has nothing of the above but At, Conn and CSeq
}

// Watch subscribes to an orbit and returns at once.
func (p *Phone) Watch(ext string) *Lamp { return p.watch(ext, false) }

// WatchList subscribes to an event list (RFC 4662) and returns at once.
func (p *Phone) WatchList(name string) *Lamp { return p.watch(name, true) }

func (p *Phone) watch(to string, list bool) *Lamp {
	p.mu.Lock()
	defer p.mu.Unlock()
	l := &Lamp{Phone: p, Dialog: p.begin(p.At(to)), expires: 3600, list: list}
	p.lamps = append(p.lamps, l)
	l.send(nil)
	return l
}

// send subscribes. The lock is held.
func (l *Lamp) send(headers []string) {
	accept := []string{"Accept: application/dialog-info+xml"}
	if l.list {
		accept = []string{"Accept: application/dialog-info+xml, application/rlmi+xml, multipart/related", "Supported: eventlist"}
	}
	l.Asked = l.Phone.send(l.Dialog, "SUBSCRIBE",
		slices.Concat([]string{"Event: dialog", fmt.Sprintf("Expires: %d", l.expires)}, accept, headers), "")
}

// Retry repeats a refused SUBSCRIBE with credentials (RFC 3261 22.2).
func (l *Lamp) Retry(header string) {
	l.Phone.mu.Lock()
	defer l.Phone.mu.Unlock()
	l.send([]string{header})
}

// Served waits for the 200.
func (l *Lamp) Served() {
	l.Phone.t.Helper()
	m := l.Phone.Expect(l.Asked, 200)
	l.Phone.mu.Lock()
	defer l.Phone.mu.Unlock()
	l.Dialog.remoteTag, l.Dialog.Target = m.ToTag(), wire.Address(m.Get("Contact"))
}

// Refresh subscribes again within the dialog, for so many seconds; 0 ends it.
func (l *Lamp) Refresh(expires int) {
	l.Phone.t.Helper()
	l.Phone.mu.Lock()
	l.expires = expires
	l.send(nil)
	l.Phone.mu.Unlock()
	l.Phone.Expect(l.Asked, 200)
}

// Shows waits until the newest document shows a dialog in that state.
func (l *Lamp) Shows(state string) (n Note) {
	l.Phone.t.Helper()
	l.Phone.Await("lamp shows "+state, func() bool {
		if len(l.notes) > 0 {
			n = l.notes[len(l.notes)-1]
		}
		return n.State == state
	})
	return n
}

// Leave ends the subscription and waits for the NOTIFY that says so.
func (l *Lamp) Leave() {
	l.Phone.t.Helper()
	l.Refresh(0)
	l.Ends("timeout")
}

// Ends waits for the NOTIFY that says that the subscription has ended, and why.
func (l *Lamp) Ends(reason string) {
	l.Phone.t.Helper()
	l.Phone.Await("the end of a subscription, "+reason, func() bool {
		n := len(l.notes)
		return n > 0 && l.notes[n-1].Head.Get("Subscription-State") == "terminated;reason="+reason
	})
}

// Notes lists the NOTIFYs so far.
func (l *Lamp) Notes() []Note {
	l.Phone.mu.Lock()
	defer l.Phone.mu.Unlock()
	return append([]Note(nil), l.notes...)
}

// Next waits so long for a NOTIFY after those that were there; nil if there is none.
func (l *Lamp) Next(were int, limit time.Duration) *Note {
	var n *Note
	l.Phone.Within(limit, func() bool {
		if len(l.notes) > were {
			n = &l.notes[were]
		}
		return n != nil
	})
	return n
}

// notified takes a NOTIFY and returns the status to answer. The lock is held.
func (p *Phone) notified(conn net.Conn, m *wire.Message) int {
	for _, l := range p.lamps {
		if l.Dialog.callID != m.CallID() || l.Dialog.localTag != m.ToTag() {
			continue
		}
		n, err := l.read(m)
		if err != nil {
			p.t.Errorf("%s: bad document (%v):\n%s", p.Name, err, m.Body)
			return 400
		}
		n.Conn = conn
		l.notes = append(l.notes, n)
		return 200
	}
	return 481
}

// read reads a NOTIFY, which is one of the kind that was subscribed to.
func (l *Lamp) read(m *wire.Message) (Note, error) {
	if !l.list {
		return read(m)
	}
	roll, err := phone.ReadRoll(m)
	return Note{At: roll.At, CSeq: roll.CSeq, Head: m, Roll: &roll}, err
}

// read reads the document of a NOTIFY (RFC 4235).
func read(m *wire.Message) (Note, error) {
	var doc struct {
		Version int    `xml:"version,attr"`
		State   string `xml:"state,attr"`
		Dialogs []struct {
			CallID string `xml:"call-id,attr"`
			Local  string `xml:"local-tag,attr"`
			Tag    string `xml:"remote-tag,attr"`
			State  string `xml:"state"`
			Remote struct {
				Name string `xml:"display,attr"`
			} `xml:"remote>identity"`
		} `xml:"dialog"`
	}
	if err := xml.Unmarshal([]byte(m.Body), &doc); err != nil {
		return Note{}, err
	}
	if len(doc.Dialogs) != 1 {
		return Note{}, fmt.Errorf("%d dialogs", len(doc.Dialogs))
	}
	d := doc.Dialogs[0]
	seq, _ := m.CSeq()
	return Note{
		Replaces: fmt.Sprintf("%s;to-tag=%s;from-tag=%s", d.CallID, d.Local, d.Tag),
		At:       time.Now(), State: d.State, Version: doc.Version, Head: m, CSeq: seq, Full: doc.State == "full", Call: d.CallID, Remote: d.Remote.Name,
	}, nil
}
