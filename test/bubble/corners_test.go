package bubble

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/phone"
	"parkd/test/kit/wire"
)

// RFC 3261 8.2.2.3: what is demanded and not known is refused, within a call too,
// and the call goes on. Proxy-Require is for proxies (20.29).
func TestExtensionsThatAreDemanded(t *testing.T) {
	for _, c := range []struct {
		method, header string
		code           int
	}{
		{"OPTIONS", "Require: teleport", 420}, {"INFO", "Require: teleport", 420}, {"UPDATE", "Require: teleport, timer", 420},
		{"INVITE", "Require: teleport", 420}, {"BYE", "Require: teleport", 420},
		{"OPTIONS", "Proxy-Require: teleport", 200}, {"INFO", "Proxy-Require: teleport", 200}, {"UPDATE", "Require: timer", 200},
	} {
		t.Run(c.method+" "+c.header, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				parked := alice.Call("701", phone.Opts{Headers: []string{"Proxy-Require: teleport"}})
				r := parked.Do(c.method, "", c.header).Expect(c.code)
				if c.code == 420 && r.Get("Unsupported") != "teleport" {
					s.T.Errorf("Unsupported: %q", r.Get("Unsupported"))
				}
				hearsMusic(s, parked)
				parked.Hangup()
			})
		})
	}
}

// part is one of a multipart body.
func part(headers, body string) string { return "--b\r\n" + headers + "\r\n\r\n" + body + "\r\n" }

func TestBodiesInParts(t *testing.T) {
	const sdp = "v=0\r\no=- 1 1 IN IP4 10.0.1.1\r\ns=-\r\nc=IN IP4 10.0.1.1\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n"
	offer := part("Content-Type: application/sdp", sdp)
	offerAs := func(disposition string) string {
		return part("Content-Type: application/sdp\r\nContent-Disposition: "+disposition, sdp)
	}
	other := func(disposition string) string {
		headers := "Content-Type: application/isup"
		if disposition != "" {
			headers += "\r\nContent-Disposition: " + disposition
		}
		return part(headers, "\x01\x00")
	}
	nested := func(kind, inner string) string {
		return part("Content-Type: multipart/"+kind+";boundary=c", strings.ReplaceAll(inner, "--b", "--c")+"--c--")
	}
	deep := offer
	for i := range 8 {
		inner := fmt.Sprintf("c%d", i)
		deep = part("Content-Type: multipart/mixed;boundary="+inner, strings.Replace(deep, "--b", "--"+inner, 1)+"--"+inner+"--")
	}
	for name, c := range map[string]struct {
		kind  string
		parts string
		code  int
	}{
		"SDP alone":                       {"mixed", offer, 200},
		"SDP as a session":                {"mixed", offerAs("session;handling=required"), 200},
		"an optional part":                {"mixed", other("signal;handling=optional") + offer, 200},
		"an optional part behind":         {"mixed", offer + other("signal; Handling=OPTIONAL"), 200},
		"a required part":                 {"mixed", other("signal;handling=required") + offer, 415},
		"a required part behind":          {"mixed", offer + other("signal;handling=required"), 415},
		"a part that is required, unsaid": {"mixed", offer + other("signal"), 415},
		"a part that says nothing":        {"mixed", offer + other(""), 200},
		"no SDP, optional":                {"mixed", other("signal;handling=optional"), 200}, // as without an offer
		"no SDP, unsaid":                  {"mixed", other(""), 415},
		"alternatives":                    {"alternative", other("session;handling=required") + offer, 200},
		"alternatives without SDP":        {"alternative", other("session") + part("Content-Type: text/plain", "x"), 415},
		"related":                         {"related", offer + other("by-reference;handling=required"), 200},
		"related to something else":       {"related", other("render") + offer, 415},
		"nested":                          {"mixed", nested("mixed", offer) + other("x;handling=optional"), 200},
		"nested alternatives":             {"mixed", nested("alternative", other("session")+offer), 200},
		"nested too deep":                 {"mixed", deep, 415},
		"another kind of multipart":       {"x-parallel", offer, 200},
		"too many parts":                  {"mixed", strings.Repeat(other("x;handling=optional"), 40) + offer, 415},
		"parts without an end":            {"mixed", "--b\r\nContent-Type", 415},
		"nothing at all":                  {"mixed", "", 415},
		"a part without a type":           {"mixed", offer + "--b\r\n\r\nx\r\n", 200},
		"a part whose type is unreadable": {"mixed", part("Content-Type: ;;;", "x") + offer, 200},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice := s.Phone("alice")
				c0 := alice.Invite("701", phone.Opts{
					Headers: []string{"Content-Type: multipart/" + c.kind + ";boundary=b"}, Body: c.parts + "--b--\r\n"})
				r := c0.Expect(c.code)
				if c.code != 200 {
					if len(s.MediaPorts()) != 0 || r.Get("Accept") == "" {
						s.T.Error("a leg is left, or no Accept")
					}
					return
				}
				if name == "no SDP, optional" {
					c0.AckWith(sdp)
				} else {
					c0.Ack()
				}
				c0.Hangup()
			})
		})
	}
}

// RFC 3261 20.11: a body that need not be understood is none.
func TestABodyThatNeedNotBeUnderstood(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{Offerless: true, Body: "x",
			Headers: []string{"Content-Type: application/x-what", "Content-Disposition: render;handling=optional"}})
		hearsMusic(s, c)
		c.Hangup()
		alice.Invite("701", phone.Opts{Body: "x",
			Headers: []string{"Content-Type: application/x-what", "Content-Disposition: render;handling=required"}}).Expect(415)
	})
}

// RFC 3966: numbers as they are, wherever a URI may be.
func TestTelephoneNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		from   string
		parker string
		shown  string // the lamp's and the return's caller
		called string // whom the return calls, "" = nobody
	}{
		"from a number":           {"<tel:+49-30-1234>", "", "tel:+49-30-1234", ""},
		"with a context":          {"<tel:1234;phone-context=example.com>", "", "tel:1234;phone-context=example.com", ""},
		"parked by a number":      {"<sip:ann@10.0.1.1>", "tel:200", "sip:ann@10.0.1.1", "sip:200@10.0.1.1:5060;user=phone"},
		"with separators":         {"<sip:ann@10.0.1.1>", "tel:2-0.0", "sip:ann@10.0.1.1", "sip:200@10.0.1.1:5060;user=phone"},
		"with a context, ignored": {"<sip:ann@10.0.1.1>", "tel:200;phone-context=+1900", "sip:ann@10.0.1.1", "sip:200@10.0.1.1:5060;user=phone"},
		"abroad":                  {"<sip:ann@10.0.1.1>", "tel:+1900123456", "sip:ann@10.0.1.1", ""},
		"an orbit's":              {"<sip:ann@10.0.1.1>", "tel:702", "sip:ann@10.0.1.1", ""},
		"no number":               {"<sip:ann@10.0.1.1>", "tel:bob", "sip:ann@10.0.1.1", ""},
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				pbx, bob := s.Phone("pbx"), s.Phone("bob")
				watch := bob.Subscribe("701")
				parked := pbx.Call("701", phone.Opts{From: c.from, ReferredBy: c.parker})
				parked.Media.Talk(0x21)
				lamp := watch.Await(lit, "early")
				if lamp.RemoteURI != c.shown {
					s.T.Errorf("the lamp shows %q, want %q", lamp.RemoteURI, c.shown)
				}
				back := pbx.Rings(after + time.Second)
				switch {
				case (back == nil) != (c.called == ""):
					s.T.Errorf("called: %v, want %q", back != nil, c.called)
				case back != nil:
					if got := back.Request().URI(); got != c.called {
						s.T.Errorf("called %s, want %s", got, c.called)
					}
					back.Pickup()
					talk(s, back, parked)
				}
				parked.Hangup()
				s.Wait(time.Second)
				watch.Refresh(0).Expect(200)
			})
		})
	}
	t.Run("as the orbit", func(t *testing.T) {
		run(t, func(s *kit.Site) {
			raw := newRaw(s)
			if r := raw.ask(raw.invite("tel:701", "one", "tel-call", 70)); r == nil || r.Code() != 200 {
				s.T.Fatalf("tel:701 answered %v", r)
			}
			raw.hangup("tel-call")
		})
	})
}

// raw is a peer that writes its messages itself.
type raw struct {
	s    *kit.Site
	p    netip.AddrPort
	send func(string)
	got  chan *wire.Message
	to   string
}

func newRaw(s *kit.Site) *raw {
	s.T.Helper()
	r := &raw{s: s, p: netip.MustParseAddrPort("10.0.1.99:5060"), got: make(chan *wire.Message, 64)}
	conn, err := s.Net.Listen(r.p)
	if err != nil {
		s.T.Fatal(err)
	}
	done := make(chan struct{})
	s.T.Cleanup(func() { conn.Close(); <-done })
	r.send = func(text string) { _, _ = conn.WriteToUDPAddrPort([]byte(text), kit.Server) }
	go func() {
		defer close(done)
		b := make([]byte, 65536)
		for {
			n, _, err := conn.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			if m, err := wire.Parse(b[:n]); err == nil {
				r.got <- m
			}
		}
	}()
	return r
}

func (r *raw) message(method, uri, branch, call string, cseq, hops int, to, body string) string {
	headers := fmt.Sprintf("%s %s SIP/2.0\r\nVia: SIP/2.0/UDP %s;branch=z9hG4bK%s;rport\r\nMax-Forwards: %d\r\nFrom: <sip:raw@10.0.1.99>;tag=raw\r\n"+
		"To: <sip:701@10.0.0.1>%s\r\nCall-ID: %s\r\nCSeq: %d %s\r\nContact: <sip:raw@%s>\r\n", method, uri, r.p, branch, hops, to, call, cseq, method, r.p)
	if body != "" {
		headers += "Content-Type: application/sdp\r\n"
	}
	return headers + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(body), body)
}

func (r *raw) invite(uri, branch, call string, hops int) string {
	return r.message("INVITE", uri, branch, call, 1, hops, "", "v=0\r\no=- 1 1 IN IP4 10.0.1.99\r\ns=-\r\nc=IN IP4 10.0.1.99\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n")
}

// ask sends a request and returns its final response, nil if there is none.
func (r *raw) ask(text string) *wire.Message {
	branch := wire.Split(text).Branch()
	r.send(text)
	limit := time.After(phone.Patience)
	for {
		select {
		case m := <-r.got:
			if m.Response() && m.Code() >= 200 && m.Branch() == branch && m.Method() == strings.Fields(text)[0] {
				if tag := m.ToTag(); tag != "" && m.Code() < 300 {
					r.to = ";tag=" + tag
				}
				return m
			}
		case <-limit:
			return nil
		}
	}
}

func (r *raw) hangup(call string) {
	r.s.T.Helper()
	r.send(r.message("ACK", "sip:701@10.0.0.1", "ack"+call, call, 1, 70, r.to, ""))
	if m := r.ask(r.message("BYE", "sip:701@10.0.0.1", "bye"+call, call, 2, 70, r.to, "")); m == nil || m.Code() != 200 {
		r.s.T.Errorf("BYE answered %v", m)
	}
}

func (r *raw) expect(what string, m *wire.Message, code int) {
	r.s.T.Helper()
	if m == nil || m.Code() != code {
		r.s.T.Errorf("%s: %v, want %d", what, m, code)
	}
}

// RFC 3261 8.2.2.2: a request that a proxy has forked, and that reaches us by two ways.
func TestAnInviteThatReachesUsTwice(t *testing.T) {
	run(t, func(s *kit.Site) {
		r := newRaw(s)
		r.expect("the first", r.ask(r.invite("sip:701@10.0.0.1", "one", "forked", 70)), 200)
		r.expect("another branch", r.ask(r.invite("sip:701@10.0.0.1", "two", "forked", 69)), 482)
		r.expect("another branch, to another orbit", r.ask(r.invite("sip:702@10.0.0.1", "three", "forked", 69)), 482)
		r.hangup("forked")
	})
}

// A call that goes in a circle ends: an INVITE of ours that comes back to us, and
// one that has used up its hops (RFC 3261 8.1.1.6, RFC 7332).
func TestCallsInACircle(t *testing.T) {
	run(t, func(s *kit.Site) {
		r, bob := newRaw(s), s.Phone("bob")
		parked := bob.Call("701", phone.Opts{ReferredBy: "sip:carol@10.0.1.2"})
		parked.Media.Talk(0x21)
		carol := s.Phone("carol")
		back := carol.Ringing(after + time.Second)
		if got := back.Request().Get("Max-Forwards"); got != "69" {
			s.T.Errorf("Max-Forwards %s of a call on behalf of one with 70, want 69", got)
		}
		// A proxy sends it to an orbit.
		text := back.Request()
		again := r.invite("sip:702@10.0.0.1", "back", text.CallID(), 68)
		again = strings.Replace(again, "From: <sip:raw@10.0.1.99>;tag=raw", "From: "+text.Get("From"), 1)
		r.expect("our own INVITE", r.ask(again), 482)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
		r.expect("no hop left", r.ask(r.invite("sip:701@10.0.0.1", "hops", "hops", 0)), 483)
	})
}

func TestACallWithItsLastHopIsParkedAndGoesNowhereElse(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{ReferredBy: bob.URI(), Headers: []string{"Max-Forwards: 1"}})
		parked.Media.Talk(0x21)
		if bob.Rings(3*after) != nil {
			s.T.Error("bob is called with no hop left")
		}
		fetched := retrieve(s, bob, parked)
		goodbye(s, fetched, parked)
	})
}

// What comes late or again at each point of a call changes nothing.
func TestLateAndRepeatedRequests(t *testing.T) {
	run(t, func(s *kit.Site) {
		r := newRaw(s)
		const uri, call = "sip:701@10.0.0.1", "again"
		invite := r.invite(uri, "inv", call, 70)
		r.expect("CANCEL before anything", r.ask(r.message("CANCEL", uri, "none", call, 1, 70, "", "")), 481)
		first := r.ask(invite)
		r.expect("INVITE", first, 200)
		second := r.ask(invite)
		if second == nil || second.ToTag() != first.ToTag() || second.Body != first.Body {
			s.T.Errorf("the repeated INVITE is answered otherwise: %v", second)
		}
		r.expect("CANCEL after the answer", r.ask(r.message("CANCEL", uri, "inv", call, 1, 70, "", "")), 200)
		r.send(r.message("ACK", uri, "acka", call, 7, 70, r.to, "")) // of nothing
		s.Wait(time.Second)
		r.send(r.message("ACK", uri, "ackb", call, 1, 70, r.to, ""))
		r.send(r.message("ACK", uri, "ackb", call, 1, 70, r.to, ""))
		s.Wait(time.Second)
		if n := len(s.MediaPorts()); n != 1 {
			s.T.Fatalf("%d legs", n)
		}
		r.expect("CANCEL after the ACK", r.ask(r.message("CANCEL", uri, "inv", call, 1, 70, "", "")), 200)
		r.expect("an old CSeq", r.ask(r.message("OPTIONS", uri, "old", call, 0, 70, r.to, "")), 500)
		bye := r.message("BYE", uri, "bye", call, 2, 70, r.to, "")
		r.expect("BYE", r.ask(bye), 200)
		r.expect("BYE again", r.ask(bye), 200)
		r.expect("another BYE", r.ask(r.message("BYE", uri, "bye2", call, 3, 70, r.to, "")), 481)
		r.send(r.message("ACK", uri, "ackb", call, 1, 70, r.to, ""))
		r.expect("INFO after the end", r.ask(r.message("INFO", uri, "info", call, 4, 70, r.to, "")), 481)
		if n := len(s.MediaPorts()); n != 0 {
			s.T.Errorf("%d legs", n)
		}
	})
}

// A BYE may come before the ACK, or instead of it (RFC 3261 15.1.2).
func TestAByeBeforeTheACK(t *testing.T) {
	run(t, func(s *kit.Site) {
		r := newRaw(s)
		r.expect("INVITE", r.ask(r.invite("sip:701@10.0.0.1", "inv", "early", 70)), 200)
		r.expect("BYE", r.ask(r.message("BYE", "sip:701@10.0.0.1", "bye", "early", 2, 70, r.to, "")), 200)
		r.send(r.message("ACK", "sip:701@10.0.0.1", "ack", "early", 1, 70, r.to, ""))
		s.Wait(time.Second)
		if n := len(s.MediaPorts()); n != 0 {
			s.T.Errorf("%d legs", n)
		}
	})
}

// How many hops a caller's INVITE had left outlives the process.
func TestHopsOutliveARestart(t *testing.T) {
	t.Parallel()
	kit.RunCut(t, kit.Plan{Configure: kit.Kept}, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{ReferredBy: bob.URI(), Headers: []string{"Max-Forwards: 12"}})
		parked.Media.Talk(0x21)
		s.Wait(time.Second)
		s.Restart(time.Second)
		back := bob.Ringing(after + time.Minute)
		if got := back.Request().Get("Max-Forwards"); got != "11" {
			s.T.Errorf("Max-Forwards %s, want 11", got)
		}
		back.Pickup()
		goodbye(s, back, parked)
	})
}
