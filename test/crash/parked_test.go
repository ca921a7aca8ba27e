package crash

import (
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

func TestParkedCallersKeepTheirMusic(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	desk := s.phone("desk")
	ann, ben, cat := s.phone("ann"), s.phone("ben"), s.phone("cat")
	dan := s.phoneOf(live.Options{Name: "dan", Network: "tcp"})
	a, b := ann.Dial("701", live.Offer{Formats: "0"}), ben.Park("702", desk, live.Offer{Formats: "8"})
	c, d := cat.Park("703", desk, live.Offer{Formats: "9", Ptime: 30}), dan.Dial("704", live.Offer{})
	for _, one := range []*live.Call{a, b, c, d} {
		one.Media.First(10)
	}
	o := s.crash()
	o.goesOn(a, b, c, d)
	o.silent(a, b, c, d)

	a.Bye()
	fetched := desk.Dial("*4702", live.Offer{})
	bothHear(b, fetched)
	fetched.Bye()
	b.Over()
	if m := c.Reoffer("sendrecv"); !strings.Contains(m.Body, "a=sendrecv") {
		t.Errorf("a re-INVITE is answered with\n%s", m.Body)
	}
	c.Bye()
	if err := dan.Connect(); err != nil {
		t.Fatal(err)
	}
	d.Bye()
	s.states()
}

func TestAHeldCallerIsHeldAndResumed(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann, clock := s.phone("ann"), s.phone("clock")
	c, beat := ann.Dial("701", live.Offer{}), clock.Dial("702", live.Offer{})
	c.Media.First(10)
	if m := c.Reoffer("sendonly"); !strings.Contains(m.Body, "a=recvonly") {
		t.Errorf("hold is answered with\n%s", m.Body)
	}
	beat.Media.Hear(5) // what was under way has come
	heard := c.Media.Heard()
	o := s.crash()
	o.goesOn(beat)
	beat.Media.Hear(25)
	o.silent(c, beat)
	if n := c.Media.Heard() - heard; n > 0 {
		t.Errorf("a held caller hears %d packets", n)
	}
	c.Reoffer("sendrecv")
	all := c.Media.From(heard - 1)
	if len(all) == 1 {
		all = append(all, c.Media.Hear(1)...)
	}
	was, is := all[0], all[1]
	if is.SSRC != was.SSRC || is.From != was.From || int16(is.Seq-was.Seq) <= 0 || int32(is.TS-was.TS) <= 0 {
		t.Errorf("music goes on with %+v after %+v", is, was)
	}
	c.Bye()
}

func TestAQueueKeepsItsOrderAndDeadlines(t *testing.T) {
	t.Parallel()
	s := newSite(t, "orbits: [{extension: \"701\", allow_multiple: true}]\n")
	s.start()
	desk := s.phone("desk")
	var queue []*live.Call
	for _, name := range []string{"ann", "ben", "cat", "dan", "eve"} {
		queue = append(queue, s.phone(name).Park("701", desk, live.Offer{}))
	}
	for _, c := range queue {
		c.Media.First(5)
	}
	o := s.crash() // compares ids, places and deadlines
	if len(o.before) != len(queue) {
		t.Fatalf("parked before: %+v", o.before)
	}
	o.goesOn(queue...)
	o.silent(queue...)
	for _, c := range queue { // first come, first fetched
		fetched := desk.Dial("*4701", live.Offer{})
		if who := fetched.Asked.Final.Get("P-Asserted-Identity"); !strings.Contains(who, "sip:"+c.Phone.Name+"@") {
			t.Errorf("fetched %s, want %s", who, c.Phone.Name)
		}
		fetched.Bye()
		c.Over()
	}
}

// The second blow comes as soon as there is somebody to hit.
func TestTwoCrashesWithinASecond(t *testing.T) {
	t.Parallel()
	s := newSite(t, "")
	s.start()
	ann, ben, desk := s.phone("ann"), s.phone("ben"), s.phone("desk")
	lamp := desk.Watch("701")
	lamp.Served()
	parked, bridged := ann.Park("701", desk, live.Offer{}), ben.Park("702", desk, live.Offer{})
	fetched := desk.Dial("*4702", live.Offer{})
	bothHear(bridged, fetched)
	parked.Media.Hear(5)
	lamp.Shows("early")
	s.states("parked", "bridged")
	s.written()

	first := s.kill()
	first.restart()
	s.now.kill()
	struck := time.Now()
	second := &outage{s: s, struck: first.struck, before: first.before}
	second.restart()
	t.Logf("the second crash %v after the first", struck.Sub(first.struck).Round(time.Millisecond))
	second.same()
	second.goesOn(parked, bridged, fetched)
	second.told("early", lamp)
	second.silent(parked, bridged, fetched)
	parked.Bye()
	lamp.Shows("terminated")
	bridged.Bye()
	fetched.Over()
}
