package sipua

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/emiago/sipgo/sip"
)

// refuse answers an INVITE of ours with a To tag of its own.
func (p *peer) refuse(invite *sip.Request, code int, tag string) {
	p.t.Helper()
	res := sip.NewResponseFromRequest(invite, code, Phrase(code), nil)
	res.To().Params.Add("tag", tag)
	if _, err := p.conn.WriteTo([]byte(res.String()), p.us); err != nil {
		p.t.Fatal(err)
	}
}

// acked reads the ACK that must come at once for a refusal.
func (p *peer) acked(invite *sip.Request, tag string) {
	p.t.Helper()
	m := p.read(time.Millisecond)
	ack, ok := m.(*sip.Request)
	if !ok || ack.Method != sip.ACK {
		p.t.Fatalf("no ACK at once, but %v", m)
	}
	for _, name := range []string{"Via", "Route", "From", "Call-ID"} { // RFC 3261 17.1.1.3
		want, _ := Header(invite, name)
		if got, _ := Header(ack, name); got != want {
			p.t.Errorf("%s of the ACK is %q, want %q", name, got, want)
		}
	}
	if ack.Recipient.String() != invite.Recipient.String() || CSeq(ack) != CSeq(invite) ||
		ack.CSeq().MethodName != sip.ACK || ToTag(ack) != tag {
		p.t.Errorf("not the ACK for tag %s:\n%s", tag, ack)
	}
}

// TestRefusedAgain: a refusal of an INVITE is acknowledged at once each time
// that it comes (RFC 3261 17.1.1.2), for Timer D.
func TestRefusedAgain(t *testing.T) {
	for _, row := range []struct {
		name string
		code int
	}{{"busy", 486}, {"challenged", 401}, {"redirected", 302}} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var l results
				e, p, _ := start(t, Options{}, nil)
				req := outgoing("INVITE", "sip:ann@example.com")
				var route sip.Uri
				sip.ParseUri("sip:10.0.0.2:5070;lr", &route)
				req.AppendHeader(&sip.RouteHeader{Address: route})
				e.Request(t.Context(), req, Target{}, l.f)
				invite := p.request()
				p.refuse(invite, row.code, "one") // doubled on its way
				p.refuse(invite, row.code, "one")
				p.acked(invite, "one")
				p.acked(invite, "one")
				for i := range 6 {
					time.Sleep(4 * time.Second) // T2
					tag := fmt.Sprint("tag", i)
					p.refuse(invite, row.code, tag)
					p.acked(invite, tag)
				}
				p.respond(invite, 180) // late
				p.silence(5 * time.Second)
				l.want(t, fmt.Sprint(row.code))
				p.silence(5 * time.Second)
				p.refuse(invite, row.code, "after Timer D")
				p.silence(time.Minute)
				if open, acks := e.layers[0].rejected.len(); open != 0 || acks != 0 {
					t.Errorf("%d INVITEs and %d ACKs kept", open, acks)
				}
			})
		})
	}
}

// TestRefusedNoMore: nothing is kept of an INVITE that was not refused, and
// nothing after Shutdown.
func TestRefusedNoMore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l results
		e, p, _ := start(t, Options{}, nil)
		rejected := &e.layers[0].rejected
		tx := e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
		invite := p.request()
		tx.Abandon()
		l.want(t, "context canceled")
		if open, _ := rejected.len(); open != 0 {
			t.Error("an INVITE that was given up is kept")
		}
		p.refuse(invite, 486, "late")
		p.silence(time.Second)
		e.Request(t.Context(), outgoing("INVITE", "sip:ann@10.0.0.2:5070"), Target{}, l.f)
		invite = p.request()
		p.refuse(invite, 486, "one")
		p.acked(invite, "one")
		e.Shutdown()
		p.refuse(invite, 486, "one")
		p.silence(time.Minute)
		if open, acks := rejected.len(); open != 0 || acks != 0 {
			t.Error("kept after Shutdown")
		}
	})
}

func (j *rejected) len() (open, acks int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return len(j.open), len(j.acks.values)
}

func TestRecent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var r recent[int]
		for i := range 5 {
			r.put(fmt.Sprint(i), i, 3)
			time.Sleep(time.Second)
		}
		if _, ok := r.get("1"); ok || len(r.values) != 3 || len(r.order) != 3 {
			t.Errorf("%d values and %d keys, want the newest 3", len(r.values), len(r.order))
		}
		r.put("4", 40, 10) // again
		time.Sleep(kept - time.Second)
		if v, ok := r.get("4"); v != 40 || !ok || len(r.values) != 1 {
			t.Errorf("got %d %v of %d", v, ok, len(r.values))
		}
		time.Sleep(time.Second)
		if _, ok := r.get("4"); ok || len(r.values) != 0 || len(r.order) != 0 {
			t.Error("kept for too long")
		}
	})
}
