package sockets

import (
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

func TestOperatorsSeeTheCallsLife(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(`
sip: {listen: [udp://HOST:5060]}
orbits:
  - {extension: "701", name: Sales, timeout: {after: 90s}}
  - {extension: "702", enabled: false}
`)
	for _, path := range []string{"/healthz", "/readyz"} {
		if code, body := s.http("GET", path); code != 200 {
			t.Errorf("%s: %d %s", path, code, body)
		}
	}
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	w := bob.Watch("701")
	w.Served()
	w.Shows("terminated")
	if o := s.orbit("701"); o.State != "free" || len(o.Calls) != 0 || o.Name != "Sales" || o.Music != "default" || !o.Enabled {
		t.Errorf("free orbit: %+v", o)
	}
	if s.orbit("702").Enabled {
		t.Error("702 is not enabled")
	}
	ann.Invite("702", live.Offer{}).Expect(404)

	parked := ann.Park("701", bob, live.Offer{Formats: "8"})
	w.Shows("early")
	parked.Media.First(3)
	o := s.orbit("701")
	if o.State != "parked" || len(o.Calls) != 1 || o.Watchers != 1 {
		t.Fatalf("parked: %+v", o)
	}
	c := o.Calls[0]
	if c.State != "parked" || c.Caller.Name != "ANN" || !strings.HasPrefix(c.Caller.URI, "sip:ann@"+ann.Local().Addr().String()) ||
		c.ParkedBy != bob.URI() || c.Codec != "PCMA" || c.ID == "" {
		t.Errorf("call: %+v", c)
	}
	if age := time.Since(c.Since); age < 0 || age > patience {
		t.Errorf("parked since %v", c.Since)
	}
	if d := c.ReturnsAt.Sub(c.Since); d != 90*time.Second {
		t.Errorf("returns after %v, want 90s", d)
	}
	if n := s.metric("parkd_parked_calls"); n != 1 {
		t.Errorf("%v parked calls", n)
	}

	fetched := bob.Dial("*4701", live.Offer{})
	s.until("the retrieve is counted", func() bool { return s.metric("parkd_retrieves_total") == 1 })
	w.Shows("terminated")
	if _, body := s.http("GET", "/api/v1/calls"); !strings.Contains(string(body), `"bridged"`) {
		t.Errorf("calls: %s", body)
	}
	fetched.Bye()
	parked.Over()
	s.until("the call is gone", func() bool { _, b := s.http("GET", "/api/v1/calls"); return strings.TrimSpace(string(b)) == "[]" })
	for name, want := range map[string]float64{
		"parkd_parks_total": 1, "parkd_parked_calls": 0, "parkd_subscriptions": 1,
		`parkd_refused_total{reason="unknown"}`: 1,
	} {
		if n := s.metric(name); n != want {
			t.Errorf("%s %v, want %v", name, n, want)
		}
	}
	if n := s.metric(`parkd_rtp_packets_total{direction="out"}`); n < 3 {
		t.Errorf("%v RTP packets sent", n)
	}
	s.until("both lamp changes are measured", func() bool { return s.metric("parkd_lamp_notify_seconds_count") >= 2 })
}

func TestAnOperatorSendsACallBack(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	w := bob.Watch("701")
	w.Served()
	parked := ann.Park("701", bob, live.Offer{})
	id := s.orbit("701").Calls[0].ID
	if code, body := s.http("POST", "/api/v1/calls/"+id+"/return"); code != 202 {
		t.Fatalf("return: %d %s", code, body)
	}
	back := bob.Rung()
	if code, body := s.http("POST", "/api/v1/calls/"+id+"/return"); code != 409 {
		t.Errorf("a second return: %d %s", code, body)
	}
	back.Pickup(live.Offer{})
	bothHear(t, parked, back)
	w.Shows("terminated")
	parked.Bye()
	back.Over()
}

func TestAnOperatorEndsACall(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	s.start(plain)
	ann, bob := s.phone("ann", "udp", s.host+":5060"), s.phone("bob", "udp", s.host+":5060")
	parked := ann.Park("701", bob, live.Offer{})
	id := s.orbit("701").Calls[0].ID
	if code, body := s.http("DELETE", "/api/v1/calls/"+id); code != 204 {
		t.Fatalf("drop: %d %s", code, body)
	}
	parked.Over()
	s.until("the call is gone", func() bool { code, _ := s.http("DELETE", "/api/v1/calls/"+id); return code == 404 })
	if o := s.orbit("701"); o.State != "free" {
		t.Errorf("orbit is %s", o.State)
	}
}
