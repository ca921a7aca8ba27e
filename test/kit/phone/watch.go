package phone

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/beevik/etree"

	"parkd/test/kit/wire"
)

// Sub is a subscription of the phone's.
type Sub struct {
	p      *Phone
	able   bool // it said that it can read event lists
	dialog dialog
	Tx     *Tx // the latest SUBSCRIBE

	about []string // Event, Accept and Contact, where they are not those of a lamp

	// Guarded by the phone's lock.
	told  bool // it has had a NOTIFY
	list  bool // which was that of an event list
	lamps []Lamp
	rolls []Roll // of an event list
	key   string // of an event list: the member whose documents are in lamps
}

// Lamp is a dialog-info document as it came (RFC 4235), or one of presence.
type Lamp struct {
	At      time.Time
	CSeq    uint32
	State   string // of the subscription: active, terminated
	Reason  string // of its end
	Expires int    // seconds, -1 = not said

	Version                     int
	Entity                      string
	Dialogs                     int // how many <dialog>s
	Dialog                      string
	ID                          string
	CallID, LocalTag, RemoteTag string
	Direction                   string
	LocalTarget, RemoteTarget   string
	LocalName, RemoteName       string
	LocalURI, RemoteURI         string
}

// Watch subscribes to the dialog event of somebody and returns at once.
func (p *Phone) Watch(to string, expires int, headers ...string) *Sub {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := &Sub{p: p, dialog: *p.dialogTo(to, headers), able: readsLists(headers)}
	for _, name := range []string{"Event", "Accept", "Supported", "Contact"} {
		if value, ok := header(headers, name); ok {
			s.about = append(s.about, name+": "+value)
		}
	}
	p.subs = append(p.subs, s)
	s.Tx = p.start(&s.dialog, "SUBSCRIBE", subscribe(expires, headers), "")
	return s
}

func subscribe(expires int, headers []string) []string {
	extra := append([]string{fmt.Sprintf("Expires: %d", expires)}, drop(headers, "From", "To")...)
	if _, ok := header(headers, "Event"); !ok {
		extra = append(extra, "Event: dialog")
	}
	if _, ok := header(headers, "Accept"); !ok {
		extra = append(extra, "Accept: application/dialog-info+xml")
	}
	return extra
}

// Subscribe subscribes for an hour, which must be taken.
func (p *Phone) Subscribe(to string) *Sub {
	p.t.Helper()
	s := p.Watch(to, 3600)
	s.Expect(200)
	return s
}

// Expect waits for the final response to the latest SUBSCRIBE.
func (s *Sub) Expect(code int) *Response {
	s.p.t.Helper()
	r := s.Tx.Expect(code)
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if code < 300 {
		s.dialog.learn(r.Message)
	}
	return r
}

// Refresh subscribes again within the dialog; 0 ends it.
func (s *Sub) Refresh(expires int) *Tx {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.Tx = s.p.start(&s.dialog, "SUBSCRIBE", subscribe(expires, s.about), "")
	return s.Tx
}

// notified takes a NOTIFY. The lock is held.
func (p *Phone) notified(s *served, code int) {
	if r := p.transferOf(s.request); r != nil {
		r.notified(s.request)
		if code != 0 {
			p.answer(s, code)
		}
		return
	}
	for _, sub := range p.subs {
		if !sub.dialog.has(s.request) {
			continue
		}
		if err := sub.take(s.request); err != nil {
			p.t.Errorf("%s got a bad document: %v in\n%s", p.Name, err, s.request.Body)
			return
		}
		if code != 0 {
			p.answer(s, code)
		}
		return
	}
	p.answer(s, 481)
}

// take takes a NOTIFY. Whether the subscription is to a list shows by the first one,
// and cannot change (RFC 4662 4.5); nobody gets a list who cannot read it (4.1).
func (s *Sub) take(m *wire.Message) error {
	list := m.Get("Require") == "eventlist"
	if list && !s.able || s.told && list != s.list {
		return fmt.Errorf("list %v, the NOTIFY before %v", list, s.list)
	}
	if s.told, s.list = true, list; list {
		r, err := ReadRoll(m)
		if err == nil {
			s.rolls = append(s.rolls, r)
			s.lamps = append(s.lamps, r.of(s.key)...)
		}
		return err
	}
	l, err := read(about(m), m.Body)
	if err == nil {
		s.lamps = append(s.lamps, l)
	}
	return err
}

// about is what the headers of a NOTIFY say.
func about(m *wire.Message) Lamp {
	state := m.Get("Subscription-State")
	n, _ := m.CSeq()
	l := Lamp{At: time.Now(), CSeq: n, State: wire.Address(state), Reason: wire.Param(state, "reason"), Expires: -1}
	if e := wire.Param(state, "expires"); e != "" {
		l.Expires, _ = strconv.Atoi(e)
	}
	return l
}

// read reads the document of a NOTIFY; one without any is a fault: phones need it.
func read(l Lamp, body string) (Lamp, error) {
	doc := etree.NewDocument()
	if err := doc.ReadFromString(body); err != nil {
		return l, err
	}
	if presence := doc.SelectElement("presence"); presence != nil {
		return l, l.presence(presence)
	}
	info := doc.SelectElement("dialog-info")
	if info == nil {
		return l, fmt.Errorf("no dialog-info")
	}
	l.Version, _ = strconv.Atoi(info.SelectAttrValue("version", "-1"))
	l.Entity = info.SelectAttrValue("entity", "")
	list := info.SelectElements("dialog")
	if l.Dialogs = len(list); l.Dialogs == 0 {
		return l, fmt.Errorf("no dialog")
	}
	d := list[0]
	l.ID, l.CallID = d.SelectAttrValue("id", ""), d.SelectAttrValue("call-id", "")
	l.LocalTag, l.RemoteTag = d.SelectAttrValue("local-tag", ""), d.SelectAttrValue("remote-tag", "")
	l.Direction = d.SelectAttrValue("direction", "")
	if e := d.SelectElement("state"); e != nil {
		l.Dialog = e.Text()
	}
	l.LocalURI, l.LocalName, l.LocalTarget = party(d.SelectElement("local"))
	l.RemoteURI, l.RemoteName, l.RemoteTarget = party(d.SelectElement("remote"))
	return l, nil
}

func party(e *etree.Element) (uri, name, target string) {
	if e == nil {
		return "", "", ""
	}
	if id := e.SelectElement("identity"); id != nil {
		uri, name = id.Text(), id.SelectAttrValue("display", "")
	}
	if t := e.SelectElement("target"); t != nil {
		target = t.SelectAttrValue("uri", "")
	}
	return uri, name, target
}

// Lamps lists the documents that came, retransmissions left out.
func (s *Sub) Lamps() []Lamp {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return append([]Lamp(nil), s.lamps...)
}

// Told lists when NOTIFYs came, retransmissions left out.
func (s *Sub) Told() (list []time.Time) {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	if s.list {
		for _, r := range s.rolls {
			list = append(list, r.At)
		}
		return list
	}
	for _, l := range s.lamps {
		list = append(list, l.At)
	}
	return list
}

// Newest is what the phone shows.
func (s *Sub) Newest() Lamp {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	return s.newest()
}

// Drop forgets the subscription: its NOTIFYs are answered with 481.
func (s *Sub) Drop() {
	s.p.mu.Lock()
	defer s.p.mu.Unlock()
	s.p.subs = slices.DeleteFunc(s.p.subs, func(o *Sub) bool { return o == s })
}

// newest is what the phone shows: RFC 4235 4.1: documents of a lower version
// than one before are ignored. The lock is held.
func (s *Sub) newest() (last Lamp) {
	for i, l := range s.lamps {
		if i == 0 || l.Version >= last.Version {
			last = l
		}
	}
	if n := len(s.rolls); n > 0 { // which the last one may not tell of
		last.State, last.Reason = s.rolls[n-1].State, s.rolls[n-1].Reason
	}
	return last
}

// Await waits until the newest document shows a dialog in that state.
func (s *Sub) Await(within time.Duration, state string) Lamp {
	s.p.t.Helper()
	var last Lamp
	if !s.p.await(within, func() bool {
		last = s.newest()
		return last.Dialog == state
	}) {
		s.p.t.Fatalf("%s: lamp shows %q, want %q within %v", s.p.Name, last.Dialog, state, within)
	}
	return last
}

// AwaitEnd waits for the NOTIFY that ends the subscription.
func (s *Sub) AwaitEnd(within time.Duration) Lamp {
	s.p.t.Helper()
	var last Lamp
	if !s.p.await(within, func() bool {
		last = s.newest()
		return last.State == "terminated"
	}) {
		s.p.t.Fatalf("%s: subscription goes on after %v", s.p.Name, within)
	}
	return last
}

// Replaces is the header of a press on the lamp, with the tags in the order of
// the document or the other way round: phones do either.
func (l *Lamp) Replaces(reversed bool) string {
	to, from := l.LocalTag, l.RemoteTag
	if reversed {
		to, from = from, to
	}
	return fmt.Sprintf("%s;to-tag=%s;from-tag=%s", l.CallID, to, from)
}
