package phone

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"parkd/test/kit/wire"
)

// Transfer is a REFER of the phone's and what it was told by NOTIFY (RFC 3515).
type Transfer struct {
	Tx *Tx

	p      *Phone
	dialog *dialog
	id     string // that NOTIFYs may carry: the CSeq

	told  []Told // guarded by the phone's lock
	ended bool
}

// Told is a NOTIFY about a REFER.
type Told struct {
	At      time.Time
	Code    int    // of the fragment
	State   string // of the subscription: active, terminated
	Expires int    // seconds, -1 = not said
	ID      string // parameter of Event
}

// Refer asks the other end of the call to send its party to somebody else, and
// returns at once. to is the value of Refer-To.
func (c *Call) Refer(to string, headers ...string) *Transfer {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.p.transfer(&c.dialog, to, headers)
}

// Refer asks somebody to call another, outside of any dialog.
func (p *Phone) Refer(at, to string, headers ...string) *Transfer {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.transfer(p.dialogTo(at, headers), to, drop(headers, "From", "To"))
}

// transfer sends a REFER. The lock is held.
func (p *Phone) transfer(d *dialog, to string, headers []string) *Transfer {
	r := &Transfer{p: p, dialog: d}
	p.refers = append(p.refers, r)
	if to != "" {
		headers = append([]string{"Refer-To: " + to}, headers...)
	}
	r.Tx = p.start(d, "REFER", headers, "")
	r.id = strconv.FormatUint(uint64(r.Tx.cseq), 10)
	return r
}

// Refuses waits for the refusal of a REFER: it is told of nothing then.
func (r *Transfer) Refuses(code int) *Response {
	r.p.t.Helper()
	return r.Tx.Expect(code)
}

// Accepted waits until the REFER is taken.
func (r *Transfer) Accepted() *Transfer {
	r.p.t.Helper()
	res := r.Tx.Expect(202)
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	r.dialog.learn(res.Message)
	return r
}

// Ends waits for the last NOTIFY, which must tell of that status.
func (r *Transfer) Ends(within time.Duration, code int) {
	r.p.t.Helper()
	if !r.p.await(within, func() bool { return r.ended }) {
		r.p.t.Fatalf("%s: the REFER has no end, told %+v", r.p.Name, r.Told())
	}
	if got := r.Told(); got[len(got)-1].Code != code {
		r.p.t.Fatalf("%s: the REFER ends with %+v, want %d", r.p.Name, got, code)
	}
}

// Progresses waits for a NOTIFY of that status.
func (r *Transfer) Progresses(code int) {
	r.p.t.Helper()
	if !r.p.await(Patience, func() bool {
		for _, t := range r.told {
			if t.Code == code {
				return true
			}
		}
		return false
	}) {
		r.p.t.Fatalf("%s: the REFER was told %+v, want %d", r.p.Name, r.Told(), code)
	}
}

// Told lists what the phone was told, repetitions left out.
func (r *Transfer) Told() []Told {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return append([]Told(nil), r.told...)
}

// Subscribe refreshes the subscription, or ends it with 0 (RFC 3515 2.4.4).
func (r *Transfer) Subscribe(expires int) *Tx {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.start(r.dialog, "SUBSCRIBE", []string{"Event: refer", fmt.Sprintf("Expires: %d", expires)}, "")
}

// Options asks within the dialog of the REFER what is taken there.
func (r *Transfer) Options() *Tx {
	r.p.mu.Lock()
	defer r.p.mu.Unlock()
	return r.p.start(r.dialog, "OPTIONS", nil, "")
}

// transferOf finds the REFER that a NOTIFY tells of. The lock is held.
func (p *Phone) transferOf(m *wire.Message) *Transfer {
	event := m.Get("Event")
	if kind, _, _ := strings.Cut(event, ";"); strings.TrimSpace(kind) != "refer" {
		return nil
	}
	for i := len(p.refers) - 1; i >= 0; i-- {
		r := p.refers[i]
		if f := r.Tx.final; f != nil && f.Code() >= 300 {
			continue
		}
		if id := wire.Param(event, "id"); r.dialog.has(m) && !r.ended && (id == "" || id == r.id) {
			return r
		}
	}
	return nil
}

// notified takes a NOTIFY. The lock is held.
func (r *Transfer) notified(m *wire.Message) {
	if kind := m.Get("Content-Type"); !strings.HasPrefix(kind, "message/sipfrag") {
		r.p.t.Errorf("%s was told in %s", r.p.Name, kind)
	}
	if r.dialog.remoteTag == "" { // it is faster than the 202
		r.dialog.learn(m)
	}
	state := m.Get("Subscription-State")
	told := Told{At: time.Now(), State: wire.Address(state), Expires: -1, ID: wire.Param(m.Get("Event"), "id")}
	if e := wire.Param(state, "expires"); e != "" {
		told.Expires, _ = strconv.Atoi(e)
	}
	told.Code = wire.Split(m.Body).Code()
	if !strings.HasPrefix(m.Body, "SIP/2.0 ") || !strings.HasSuffix(m.Body, "\r\n") {
		r.p.t.Errorf("%s was told %q", r.p.Name, m.Body)
	}
	r.told = append(r.told, told)
	r.ended = told.State == "terminated"
}
