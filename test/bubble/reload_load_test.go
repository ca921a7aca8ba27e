package bubble

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
	"parkd/test/kit/wire"
)

// How long the load test lasts.
const (
	reloads = 200
	tick    = 100 * time.Millisecond
	flat    = "706" // an orbit that is removed and added all the time
)

// TestTwoHundredReloadsUnderLoad has a call parked every 100 ms, calls fetched
// and calls that come back, while the configuration changes as often. Nobody
// may be lost, joined twice or miss a frame of music, and nothing may be left.
// It runs alone, for it counts goroutines.
func TestTwoHundredReloadsUnderLoad(t *testing.T) {
	files := newRecords(t)
	files.put("one", level(high))
	files.put("two", level(low))
	kit.RunSlow(t, busy(files, 0), 5*time.Millisecond, func(s *kit.Site) {
		b := newBustle(s)
		s.Wait(linger)
		before := goroutines()
		for n := range reloads {
			done := make(chan error)
			go func() { _, err := s.Reload(busy(files, n+1)); done <- err }()
			b.round(n, true)
			if err := <-done; err != nil {
				t.Fatal(err)
			}
		}
		for n := reloads; b.left() > 0 && n < 2*reloads; n++ {
			b.round(n, false)
		}
		if b.left() > 0 {
			t.Errorf("%d of %d calls never got away", b.left(), len(b.guests))
		}
		t.Logf("%d parked, %d refused at %s, %d fetched, %d came back, %d returns busy",
			len(b.guests), b.refused, flat, b.fetched, b.returned, b.busy)
		if b.refused == 0 || b.fetched < 20 || b.returned < 20 || b.busy == 0 {
			t.Error("that was no load")
		}
		s.Wait(3 * time.Second)
		for ext, w := range b.lamps {
			if l := w.Newest(); l.Dialog != "terminated" {
				t.Errorf("the lamp of %s shows %+v", ext, l)
			}
			w.Refresh(0).Wait(phone.Patience)
			w.Drop()
		}
		s.Wait(linger)
		if after := goroutines(); after > before || before == 0 {
			t.Errorf("%d goroutines, %d before", after, before)
		}
	})
}

// linger is how long the transactions of a call live on.
const linger = 40 * time.Second

// goroutines counts those of servers.
func goroutines() (n int) {
	b := make([]byte, 4<<20)
	for stack := range strings.SplitSeq(string(b[:runtime.Stack(b, true)]), "\n\n") {
		if strings.Contains(stack, "parkd/internal/") || strings.Contains(stack, "emiago/sipgo") {
			n++
		}
	}
	return n
}

// busy is the n-th configuration of many, which have nearly every live key in
// common with none of their neighbours.
func busy(files *records, n int) kit.Configure {
	music := []string{"one", "two", "default"}[n%3]
	return func(c *config.Config) {
		c.Park.TimeoutRange.Min = time.Second
		c.Media.MusicDir = files.dir
		c.Orbits = nil
		for i := 701; i <= 706; i++ {
			o := config.Orbit{Extension: fmt.Sprint(i), Options: c.Defaults}
			several(&o)
			o.Timeout.After, o.Timeout.Ring = 1500*time.Millisecond+time.Duration(n%4)*200*time.Millisecond, time.Second
			o.Timeout.Enabled = i%2 == 0 || n%5 != 0
			o.Name, o.Music, o.Lamp.State = fmt.Sprint("name ", n%2), music, []string{"early", "confirmed"}[n/2%2]
			o.Transfer.Enabled = n%2 == 0
			if o.Extension != flat || n/6%2 == 0 {
				c.Orbits = append(c.Orbits, o)
			}
		}
		c.Park.RetrieveCodes = []string{"*4", fmt.Sprint("*9", n%7)}
		c.Media.Codecs = [][]string{{"PCMU", "PCMA", "G722"}, {"G722", "PCMU"}}[n%2]
		c.Park.ParkerHeaders = [][]string{{"Referred-By"}, {"X-By", "Referred-By"}}[n%2]
		c.Park.Keepalive = time.Minute + time.Duration(n)*time.Second
		c.SIP.Domains = [][]string{nil, {"10.0.0.1", "10.0.1.2", "10.0.1.3"}}[n%2]
	}
}

// guest is a caller on their way through parkd.
type guest struct {
	call *phone.Call
	with *phone.Call // joined with; nil = waits
	at   time.Time   // when that was
	gone bool
}

// bustle is an office with much to do.
type bustle struct {
	s                                *kit.Site
	pbx, desk                        *phone.Phone
	parkers                          []*phone.Phone
	lamps                            map[string]*phone.Sub
	guests                           map[string]*guest // by name
	ringing                          []*phone.Call     // picked up a round ago
	refused, fetched, returned, busy int
}

func newBustle(s *kit.Site) *bustle {
	b := &bustle{s: s, guests: map[string]*guest{}, lamps: map[string]*phone.Sub{}}
	b.pbx, b.parkers, b.desk = s.Phone("pbx"), []*phone.Phone{s.Phone("bob"), s.Phone("bea")}, s.Phone("desk")
	for _, ext := range []string{"701", "702", flat} {
		b.lamps[ext] = b.desk.Subscribe(ext)
	}
	return b
}

// left is how many have not got away.
func (b *bustle) left() (n int) {
	for _, g := range b.guests {
		if !g.gone {
			n++
		}
	}
	return n
}

// round is a tenth of a second.
func (b *bustle) round(n int, parking bool) {
	end := time.Now().Add(tick)
	if parking {
		b.park(n)
	}
	if n%3 == 0 || !parking {
		b.fetch(n)
	}
	b.answer(n)
	b.part()
	time.Sleep(time.Until(end))
	for name, g := range b.guests {
		if !g.gone && !g.call.Ended().IsZero() {
			b.s.T.Fatalf("%s was lost", name)
		}
	}
}

func (b *bustle) park(n int) {
	name, ext := fmt.Sprint("guest", n), fmt.Sprint(701+n%6)
	c := b.pbx.Invite(ext, phone.Opts{
		From: fmt.Sprintf(`"%s" <sip:%[1]s@10.0.1.1>`, name), ReferredBy: b.parkers[n%2].URI(),
	})
	r := c.Tx.Wait(phone.Patience)
	switch {
	case r != nil && r.Code() == 200:
		c.Ack()
		b.guests[name] = &guest{call: c}
	case r != nil && r.Code() == 404 && ext == flat:
		b.refused++
	default:
		b.s.T.Fatalf("%s is not parked: %v", name, r)
	}
}

// fetch fetches whoever is the oldest in some orbit.
func (b *bustle) fetch(n int) {
	c := b.desk.Invite(fmt.Sprint("*4", 701+n%7%6), phone.Opts{})
	r := c.Tx.Wait(phone.Patience)
	switch {
	case r != nil && r.Code() == 200:
		c.Ack()
		b.fetched++
		b.join(nameOf(r.Get("P-Asserted-Identity")), c)
	case r == nil || r.Code() != 404:
		b.s.T.Fatalf("a fetch is answered %v", r)
	}
}

// answer has the parkers pick up, one in four being busy.
func (b *bustle) answer(n int) {
	for _, c := range b.ringing {
		if c.Answered() && c.Ended().IsZero() { // not fetched just then
			b.returned++
			b.join(nameOf(c.Request().Get("From")), c)
		}
	}
	b.ringing = nil
	for i, p := range b.parkers {
		for c := p.Rings(0); c != nil; c = p.Rings(0) {
			if (n+i)%4 == 0 {
				c.Reply(486)
				b.busy++
				continue
			}
			c.PickupLate()
			b.ringing = append(b.ringing, c)
		}
	}
}

func (b *bustle) join(name string, with *phone.Call) {
	g := b.guests[name]
	if g == nil || g.with != nil || g.gone {
		b.s.T.Fatalf("joined with %s: %+v", name, g)
	}
	g.with, g.at = with, time.Now()
	with.Media.Talk(0x42)
	g.call.Media.Talk(0x21)
	b.unbroken(name, g)
}

// unbroken checks the music that a guest heard until they were joined.
func (b *bustle) unbroken(name string, g *guest) {
	got := g.call.Media.Got(time.Time{})
	for i := 1; i < len(got) && got[i].First != 0x42; i++ {
		x, y := got[i-1], got[i]
		if y.Seq != x.Seq+1 || y.SSRC != x.SSRC || y.At.Before(g.at.Add(-tick)) && y.At.Sub(x.At) != 20*time.Millisecond {
			b.s.T.Fatalf("%s: %+v after %+v", name, y, x)
		}
	}
}

// part ends conversations that have lasted for a second.
func (b *bustle) part() {
	for name, g := range b.guests {
		if g.gone || g.with == nil || time.Since(g.at) < time.Second {
			continue
		}
		if !hears(g.call, g.with.Media.Voice()) || !hears(g.with, g.call.Media.Voice()) {
			b.s.T.Fatalf("%s and whoever fetched them do not hear each other", name)
		}
		g.gone = true
		g.with.Hangup()
		g.call.ExpectEnd(time.Second)
	}
}

// nameOf is the user of a name-addr.
func nameOf(value string) string {
	user, _, _ := strings.Cut(strings.TrimPrefix(wire.Address(value), "sip:"), "@")
	return user
}
