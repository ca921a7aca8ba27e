package phone

import (
	"fmt"
	"strings"
	"time"

	"parkd/test/kit/wire"
)

// Tx is a request of the phone's and what came back (RFC 3261 17.1).
type Tx struct {
	p      *Phone
	method string
	branch string
	raw    string
	call   *Call // of an INVITE
	dialog *dialog
	cseq   uint32
	stop   chan struct{} // closed when nothing is to be sent again

	// Guarded by the phone's lock.
	got     []Response
	final   *Response
	stopped bool
	gaveUp  bool   // timer B or F has fired: later responses belong to nothing
	ack     string // of a 2xx to INVITE, sent again for each repetition
}

// Response is a response as it came.
type Response struct {
	At time.Time
	*wire.Message
}

// start sends a request and repeats it until it is answered. The lock is held.
func (p *Phone) start(d *dialog, method string, extra []string, body string) *Tx {
	branch := "z9hG4bK" + p.token("branch")
	raw := p.build(d, method, branch, extra, body)
	return p.launch(&Tx{method: method, branch: branch, raw: raw, dialog: d, cseq: d.cseq})
}

func (p *Phone) launch(tx *Tx) *Tx {
	tx.p, tx.stop = p, make(chan struct{})
	p.asked[tx.branch+tx.method] = tx
	p.send(tx.raw)
	p.wg.Go(tx.retransmit)
	return tx
}

// retransmit is timers A and E, and B and F.
func (tx *Tx) retransmit() {
	wait, end := t1, time.NewTimer(timeout)
	again := time.NewTimer(wait)
	defer end.Stop()
	defer again.Stop()
	for {
		select {
		case <-again.C:
			tx.p.send(tx.raw)
			if wait *= 2; tx.method != "INVITE" {
				wait = min(wait, t2)
			}
			again.Reset(wait)
		case <-end.C:
			tx.giveUp()
			return
		case <-tx.stop:
			return
		case <-tx.p.done:
			return
		}
	}
}

// giveUp is timer B or F: nobody answers (RFC 3261 17.1.1.2, 17.1.2.2).
func (tx *Tx) giveUp() {
	p := tx.p
	p.mu.Lock()
	defer p.mu.Unlock()
	tx.gaveUp = true
	if tx.call != nil && tx.dialog.remoteTag == "" {
		tx.call.end()
	}
	p.notify()
}

// response hands a response to its request. The lock is held.
func (p *Phone) response(m *wire.Message) {
	tx := p.asked[m.Branch()+m.Method()]
	if tx == nil {
		p.t.Errorf("%s got a response to nothing: %s", p.Name, m.Start)
		return
	}
	if tx.gaveUp { // RFC 6026 8.4: a stray response is dropped
		return
	}
	r := Response{time.Now(), m}
	tx.got = append(tx.got, r)
	if !tx.stopped && (m.Code() >= 200 || tx.method == "INVITE") {
		tx.stopped = true
		close(tx.stop)
	}
	if m.Code() < 200 {
		return
	}
	if tx.method == "INVITE" {
		p.acknowledge(tx, m)
	}
	if tx.final == nil {
		tx.final = &r
		if tx.call != nil {
			tx.call.answered(tx, m)
		}
	}
}

// acknowledge answers a final response to INVITE: others than 2xx at once
// (RFC 3261 17.1.1.3), a 2xx again when the call has acknowledged it.
func (p *Phone) acknowledge(tx *Tx, m *wire.Message) {
	if m.Code() >= 300 {
		d := *tx.dialog
		d.remoteTag = m.ToTag()
		d.target = strings.Fields(tx.raw)[1]
		p.send(p.buildAt(&d, "ACK", tx.branch, tx.cseq, nil, ""))
		return
	}
	if tx.ack != "" {
		p.send(tx.ack)
	}
}

// Wait waits for the final response; nil if there is none for so long, or
// for 64*T1.
func (tx *Tx) Wait(within time.Duration) *Response {
	tx.p.await(within, func() bool { return tx.final != nil || tx.gaveUp })
	tx.p.mu.Lock()
	defer tx.p.mu.Unlock()
	return tx.final
}

// Expect waits for the final response, which must have that status.
func (tx *Tx) Expect(code int) *Response {
	tx.p.t.Helper()
	return tx.ExpectWithin(Patience, code)
}

// ExpectWithin is Expect with another patience.
func (tx *Tx) ExpectWithin(within time.Duration, code int) *Response {
	tx.p.t.Helper()
	r := tx.Wait(within)
	switch {
	case r == nil:
		tx.p.t.Fatalf("%s: no answer to %s, want %d", tx.p.Name, tx.title(), code)
	case r.Code() != code:
		tx.p.t.Fatalf("%s: %s answered %q, want %d", tx.p.Name, tx.title(), r.Start, code)
	}
	return r
}

// ExpectProvisional waits for a provisional response with that status.
func (tx *Tx) ExpectProvisional(code int) {
	tx.p.t.Helper()
	if !tx.p.await(Patience, func() bool { return tx.count(code) > 0 }) {
		tx.p.t.Fatalf("%s: no %d to %s", tx.p.Name, code, tx.title())
	}
}

func (tx *Tx) title() string { return strings.SplitN(tx.raw, " SIP/2.0", 2)[0] }

func (tx *Tx) count(code int) (n int) {
	for _, r := range tx.got {
		if r.Code() == code {
			n++
		}
	}
	return n
}

// All lists the responses with that status, repetitions included.
func (tx *Tx) All(code int) (list []Response) {
	tx.p.mu.Lock()
	defer tx.p.mu.Unlock()
	for _, r := range tx.got {
		if r.Code() == code {
			list = append(list, r)
		}
	}
	return list
}

// Repeat sends the very same request again, as a retransmission.
func (tx *Tx) Repeat() { tx.p.send(tx.raw) }

// Cancel takes an INVITE back (RFC 3261 9.1).
func (tx *Tx) Cancel() *Tx {
	p := tx.p
	p.mu.Lock()
	defer p.mu.Unlock()
	d := *tx.dialog
	d.remoteTag = ""
	d.target = strings.Fields(tx.raw)[1]
	raw := p.buildAt(&d, "CANCEL", tx.branch, tx.cseq, nil, "")
	return p.launch(&Tx{method: "CANCEL", branch: tx.branch, raw: raw, dialog: tx.dialog, cseq: tx.cseq})
}

// Request sends a request outside any dialog.
func (p *Phone) Request(method, to string, headers []string, body string) *Tx {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.start(p.dialogTo(to, headers), method, drop(headers, "From", "To"), body)
}

// dialogTo is a dialog that is about to begin. The lock is held.
func (p *Phone) dialogTo(to string, headers []string) *dialog {
	d := &dialog{
		callID: p.token("call"), localTag: p.token("tag"), target: p.uri(to), contact: p.Contact(),
		local: fmt.Sprintf("%q <%s>", p.Name, p.URI()),
	}
	d.remote = "<" + d.target + ">"
	if from, ok := header(headers, "From"); ok {
		d.local = from
	}
	if to, ok := header(headers, "To"); ok {
		d.remote = to
	}
	if c, ok := header(headers, "Contact"); ok {
		d.contact = c
	}
	return d
}

func drop(lines []string, names ...string) (kept []string) {
	for _, l := range lines {
		n, _, _ := strings.Cut(l, ":")
		wanted := true
		for _, name := range names {
			wanted = wanted && !strings.EqualFold(n, name)
		}
		if wanted {
			kept = append(kept, l)
		}
	}
	return kept
}
