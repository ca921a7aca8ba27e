package presence

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

// listed is a phone with a subscription to a list.
func (b *bed) listed(addr, list string) *phone {
	b.t.Helper()
	p := b.phone(addr)
	p.headers = []string{"Supported: eventlist"}
	p.subscribe("sip:" + list + "@192.0.2.1")
	pass(50 * time.Millisecond)
	if p.reply().StatusCode != 200 || value(p.reply(), "Require") != "eventlist" || len(p.got()) == 0 {
		b.t.Fatalf("%s\n%d NOTIFYs", p.reply(), len(p.got()))
	}
	return p
}

// office builds as many orbits, from 701 on.
func (b *bed) office(orbits int) {
	for n := range orbits {
		b.park(fmt.Sprint(701+n), "")
	}
}

func compare(t *testing.T, got, want []string) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// What is told is what has changed, each change once; versions are those of the
// list and of each member.
func TestListTellsWhatChanged(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.listed("192.0.2.9:5060", "all")
		b.park("701", "ann")
		pass(4 * time.Second)
		b.park("702", "joe")
		b.park("702", "")
		pass(4 * time.Second)
		p.subscribe("sip:all@192.0.2.1")
		pass(time.Second)
		p.subscribe("sip:all@192.0.2.1", "Expires: 0")
		pass(time.Second)
		compare(t, p.texts(0), []string{"full 0: 701=/0 702=/0", "part 1: 701=ann/1", "part 2: 702=joe/1", "part 3: 702=/2",
			"full 4: 701=ann/2 702=/3", "full 5: 701=ann/3 702=/4"})
		if n := p.last(); n.state != "terminated;reason=timeout" {
			t.Error(n.state)
		}
	})
}

// Changes beyond a burst are collected for a second, and go out together.
func TestListKeepsItsPace(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.listed("192.0.2.9:5060", "all")
		start, n := time.Now(), len(p.got())
		for i := range 60 {
			b.park(fmt.Sprint(701+i%2), fmt.Sprint("call", i))
			pass(50 * time.Millisecond)
		}
		pass(5 * time.Second)
		compare(t, p.texts(n)[:4], []string{"part 1: 701=call0/1", "part 2: 702=call1/1", "part 3: 701=call2/2", "part 4: 701=call20/3 702=call21/2"})
		got := p.got()[n:]
		if len(got) > burst+4 {
			t.Errorf("told %d times in three seconds", len(got))
		}
		for i := burst; i < len(got); i++ {
			if d := got[i].at.Sub(got[i-1].at); d < apart-10*time.Millisecond {
				t.Errorf("told after %v", d)
			}
		}
		want := map[string]string{"701": "call58", "702": "call59"}
		if d := cmp.Diff(want, keys(p.rolls(""))); d != "" {
			t.Errorf("%s after %v", d, time.Since(start))
		}
	})
}

// What a datagram has no room for follows as soon as that is answered, whoever is
// parked first; a change in between keeps to the pace.
// Whoever asks for a connection where none is served is told by UDP, in pieces.
// A list whose members alone, without a word on their state, are longer than any
// datagram.
// What a watcher may not have got is told again with the next, and once; a late
// answer is one.
func TestListTellsWhatWasLost(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(3)
		p := b.listed("192.0.2.9:5060", "all")
		n := len(p.got())
		var missed notice
		p.answers(func(n notice, copies int) (int, string) { missed = n; return 0, "" })
		b.park("701", "ann")
		pass(3 * time.Second)
		p.answers(nil)
		b.park("702", "joe") // overtakes
		pass(4 * time.Second)
		compare(t, p.texts(n), []string{"part 2: 701=ann/1", "part 3: 702=joe/1 701=ann/2"})

		n = len(p.got())
		p.answers(func(n notice, copies int) (int, string) { missed = n; return 0, "" })
		b.park("701", "eve")
		pass(2500 * time.Millisecond)
		first := missed
		b.park("702", "")
		pass(time.Second)
		p.respond(first.req, 200, "", p.serverAddr()) // so 701 has arrived
		p.answers(nil)
		pass(4 * time.Second)
		b.park("703", "kim")
		pass(4 * time.Second)
		compare(t, p.texts(n), []string{"part 4: 701=eve/3", "part 5: 702=/2 701=eve/4", "part 6: 703=kim/1"})
		if l := b.n.Lamps()[0]; !l.List || l.Resource != "all" || l.Version != 6 || l.Silent {
			t.Errorf("%+v", l)
		}
	})
}

// The full state that was lost is told again in full.
func TestListTellsAllThatWasLost(t *testing.T) {
	bubble(t, func(b *bed) {
		p := b.phone("192.0.2.9:5060")
		p.headers = []string{"Supported: eventlist"}
		p.answers(func(n notice, copies int) (int, string) { return 0, "" })
		p.subscribe("sip:all@192.0.2.1")
		pass(3 * time.Second)
		b.park("701", "ann")
		pass(time.Second)
		p.answers(nil)
		pass(4 * time.Second)
		compare(t, p.texts(0), []string{"full 0: 701=/0 702=/0", "full 1: 701=ann/1 702=/1"})
	})
}

// Members come and go: the phone is told who is there now.
func TestListChanges(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(3)
		b.relist("desk", "703", "701")
		p, all := b.listed("192.0.2.9:5060", "desk"), b.listed("192.0.2.10:5060", "all")
		pass(4 * time.Second)
		b.remove("701")
		pass(4 * time.Second)
		b.park("701", "ann") // another one of that name
		pass(4 * time.Second)
		b.relist("desk", "701", "702")
		pass(4 * time.Second)
		lit := func() (list []int) {
			for _, l := range b.n.Lamps() {
				list = append(list, l.Lit)
			}
			return list
		}
		if got := lit(); !slices.Equal(got, []int{1, 1}) {
			t.Errorf("lit: %v", got)
		}
		b.relist("desk", "702")
		pass(4 * time.Second)
		if got := lit(); !slices.Equal(got, []int{1, 0}) { // that of all, and the desk's
			t.Errorf("lit: %v", got)
		}
		b.relist("desk")
		pass(4 * time.Second)
		compare(t, p.texts(0), []string{"full 0: 703=/0 701=/0", "full 1: 703=/1", "full 2: 703=/2 701=ann/1", "full 3: 701=ann/2 702=/0", "full 4: 702=/1", "full 5:"})
		if n := p.last(); n.state != "terminated;reason=noresource" {
			t.Error(n.state)
		}
		var instances []string
		for _, r := range p.rolls("") {
			for _, m := range r.members {
				if m.user == "701" {
					instances = append(instances, m.instance)
				}
			}
		}
		compare(t, instances, []string{"0", "1", "1"})
		compare(t, all.texts(0), []string{"full 0: 701=/0 702 703", "part 1: 702=/0 703=/0",
			"full 2: 702=/1 703=/1", "full 3: 701=ann/1 702 703", "part 4: 702=/2 703=/2"})
		if n := b.n.Len(); n != 1 {
			t.Errorf("%d subscriptions", n)
		}
	})
}

// After a restart the whole list is told, above every version before.
func TestListRestart(t *testing.T) {
	journaled(t, func(b *bed) {
		p := b.listed("192.0.2.9:5060", "all")
		b.park("702", "joe")
		b.park("701", "ann")
		pass(time.Second)
		before := p.rolls("")
		from := p.sock.addr
		shows := func(orbit, want string) {
			t.Helper()
			if got, _ := b.n.Showing(orbit, p.user, "sip:bob@"+from.String(), flowFrom(from)); got != want {
				t.Errorf("%s shows %q, want %q", orbit, got, want)
			}
		}
		shows("701", "ann")
		b.kill()
		b.src.shown["702"] = ""
		pass(10 * time.Second)
		b.start()
		shows("701", "ann")
		shows("702", "")
		pass(time.Second)
		rolls := p.rolls("")
		if len(rolls) != len(before)+1 {
			t.Fatalf("%v", rolls)
		}
		last, was := rolls[len(rolls)-1], before[len(before)-1]
		if !last.full || last.version <= was.version || len(last.members) != 2 {
			t.Errorf("%v after %v", last, was)
		}
		for _, m := range last.members {
			if m.version <= was.version || m.version > last.version {
				t.Errorf("%v", last)
			}
		}
		b.park("701", "")
		pass(time.Second)
		if d := cmp.Diff(map[string]string{"701": "", "702": ""}, keys(p.rolls(""))); d != "" {
			t.Error(d)
		}
		p.subscribe("sip:all@192.0.2.1", "Expires: 0")
		pass(time.Second)
		if n := p.last(); n.state != "terminated;reason=timeout" || len(b.disk.records()) != 0 {
			t.Errorf("%s, %d records", n.state, len(b.disk.records()))
		}
	})
}

// Who is asked for what, and what that gives.
func TestListNegotiation(t *testing.T) {
	bubble(t, func(b *bed) {
		b.relist("701", "702") // as a pool: a lamp and a list
		b.relist("desk", "701")
		for i, row := range []struct {
			name, user string
			lines      []string
			code       int
			list       bool
			header     string
		}{
			{"list", "desk", []string{"Supported: eventlist"}, 200, true, ""},
			{"among others", "desk", []string{"Supported: replaces, EventList"}, 200, true, ""},
			{"required", "desk", []string{"Require: eventlist"}, 200, true, ""},
			{"types of lists only", "desk", []string{"Supported: eventlist", "Accept: multipart/related, application/rlmi+xml"}, 200, true, ""},
			{"no types of lists", "desk", []string{"Supported: eventlist", "Accept: application/dialog-info+xml"}, 200, true, ""},
			{"cannot read it", "desk", nil, 421, false, "Require: eventlist"},
			{"lamp", "701", nil, 200, false, ""},
			{"lamp, by its types", "701", []string{"Supported: eventlist", "Accept: application/dialog-info+xml"}, 200, false, ""},
			{"list of a pool", "701", []string{"Supported: eventlist", "Accept: application/dialog-info+xml, multipart/related, application/rlmi+xml"}, 200, true, ""},
			{"single with support", "702", []string{"Supported: eventlist"}, 200, false, ""},
			{"single, other types", "702", []string{"Accept: text/plain"}, 406, false, "Accept: application/dialog-info+xml"},
			{"neither", "709", []string{"Supported: eventlist"}, 404, false, ""},
			{"presence", "desk", []string{"Supported: eventlist", "Event: presence"}, 200, true, ""},
		} {
			p := b.phone(fmt.Sprintf("192.0.2.%d:5060", 20+i))
			p.subscribe("sip:"+row.user+"@192.0.2.1", append(row.lines, "To: <sip:"+row.user+"@192.0.2.1>")...)
			pass(time.Second)
			res := p.reply()
			name, want, _ := strings.Cut(row.header, ": ")
			if res.StatusCode != row.code || name != "" && value(res, name) != want {
				t.Errorf("%s: %s", row.name, res)
				continue
			}
			if row.code != 200 {
				continue
			}
			_, err := rollOf(p.last().req)
			if (err == nil) != row.list || (value(res, "Require") == "eventlist") != row.list {
				t.Errorf("%s: %v\n%s%s", row.name, err, res, p.last().req)
			}
			// A refresh need not say it again.
			n := len(p.got())
			p.subscribe("sip:"+row.user+"@192.0.2.1", "Event: "+value(p.last().req, "Event"))
			synctest.Wait()
			pass(time.Second)
			if p.reply().StatusCode != 200 || (value(p.reply(), "Require") == "eventlist") != row.list || len(p.got()) == n {
				t.Errorf("%s, refreshed: %s", row.name, p.reply())
			}
		}
		if n := b.n.Watchers("701"); n != 8 { // six lists, a lamp twice
			t.Errorf("%d watchers of 701", n)
		}
	})
}

// An answer that comes after the list was begun anew says nothing of the members
// that are still to be told.
func TestListBeginsAnew(t *testing.T) {
	bubble(t, func(b *bed) {
		b.office(12)
		p := b.listed("192.0.2.9:5060", "all")
		pass(4 * time.Second)
		var before, full notice
		p.answers(func(n notice, copies int) (int, string) { before = n; return 0, "" })
		b.park("712", "ann")
		p.answers(func(n notice, copies int) (int, string) { full = n; return 0, "" })
		p.subscribe("sip:all@192.0.2.1")
		pass(2100 * time.Millisecond)
		n := len(p.got())
		p.respond(before.req, 200, "", p.serverAddr())
		pass(100 * time.Millisecond)
		p.answers(nil)
		p.respond(full.req, 200, "", p.serverAddr())
		pass(4 * time.Second)
		if r := p.rolls("")[n-1]; !r.full {
			t.Fatalf("%v", r)
		}
		want := map[string]string{}
		for n := range 12 {
			want[fmt.Sprint(701+n)] = ""
		}
		want["712"] = "ann"
		if d := cmp.Diff(want, keys(p.rolls(""))); d != "" {
			t.Error(d)
		}
	})
}

// followed is a Follower of one resource.
type followed struct {
	resource string
	steps    chan Step
}

func (f followed) Following() []string { return []string{f.resource} }
func (f followed) Step(s Step)         { f.steps <- s }

// Whoever follows a lamp sees what lists tell of it.
func TestListIsTraced(t *testing.T) {
	f := followed{"702", make(chan Step, 100)}
	bubbleOf(t, Options{Follower: f}, func(b *bed) {
		p := b.listed("192.0.2.9:5060", "all")
		b.park("701", "ann")
		pass(2 * time.Second)
		b.park("702", "joe")
		pass(2 * time.Second)
		var got []string
		for len(f.steps) > 0 {
			s := <-f.steps
			got = append(got, fmt.Sprintf("%s %d %s %d %s by %s", s.Kind, s.CSeq, s.Shown, s.Code, s.Watcher, s.List))
		}
		by := " " + p.user + " by all"
		compare(t, got, []string{"subscribed 0  0" + by, "notify 1  0" + by, "answer 1  200" + by, "notify 3 joe 0" + by, "answer 3  200" + by})
	})
}

func TestMembersURIs(t *testing.T) {
	for list, want := range map[string]string{
		"sip:orbits@192.0.2.1":                           "sip:701@192.0.2.1",
		"sip:orbits@Park.Example.com:5062;transport=tcp": "sip:701@Park.Example.com:5062",
		"sips:orbits;a=b@[2001:db8::1]:5061?x=y":         "sips:701@[2001:db8::1]:5061",
	} {
		if got := newList(list).uriOf("701"); got != want {
			t.Errorf("%s in %s", got, list)
		}
	}
	if got := newList("sip:orbits@192.0.2.1").uriOf("*7#"); got != "sip:*7%23@192.0.2.1" { // RFC 3261 25.1
		t.Error(got)
	}
}

// Changes keep to the pace while pieces of what was asked for go out.
