package bubble

import (
	"net/netip"
	"time"

	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// binding is how long the NAT of these scenes lets packets in after one went out:
// the least that RFC 4787 4.3 allows.
const binding = 2 * time.Minute

// watchPresence has a phone subscribe to the presence of an orbit, in a type that it
// takes, until it is done.
func (st *stage) watchPresence(p *phone.Phone, to, accept string) *phone.Sub {
	st.T.Helper()
	return st.subscribe(p, func() *phone.Sub {
		return p.Watch(to, 3600, "Event: presence", "Accept: "+accept)
	})
}

// softphones are two that know presence only, each in a type of its own.
func (st *stage) softphones() (carol *phone.Phone, subs []*phone.Sub) {
	carol, dave := st.Phone("carol"), st.Phone("dave")
	return carol, []*phone.Sub{st.watchPresence(carol, "701", "application/pidf+xml"), st.watchPresence(dave, "701", "application/xpidf+xml")}
}

// all waits until all show a state.
func (st *stage) all(subs []*phone.Sub, state string) {
	st.T.Helper()
	for _, s := range subs {
		st.shows(s, state)
	}
}

// presenceOfAPark: both show somebody parked and fetched, by one of them.
func presenceOfAPark(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	carol, subs := st.softphones()
	st.all(subs, "open")
	for _, s := range subs {
		s.Refresh(3600) // at the moment of the park: two things are to be told at once
	}
	c := st.park(alice, referred(bob))
	st.all(subs, "busy")
	st.refresh(subs[1])
	time.Sleep(50 * time.Millisecond) // carol has answered the NOTIFY
	fetched := st.fetch(carol, c, func() (string, phone.Opts) { return "701", phone.Opts{} })
	st.all(subs, "open")
	st.hangup(fetched, c)
	for _, s := range subs {
		st.unwatch(s)
	}
}

// presenceOfAReturn: somebody on their way back can still be fetched.
func presenceOfAReturn(st *stage) {
	alice, bob := st.Phone("alice"), st.Phone("bob")
	_, subs := st.softphones()
	c, since := st.parkAt(alice, referred(bob))
	r := st.back(since.add(sceneAfter), nil, bob)
	st.all(subs, "busy")
	back := st.pickup(r, c)
	st.all(subs, "open")
	st.hangup(back, c)
	for _, s := range subs {
		st.unwatch(s)
	}
}

// presenceList: the same of a list.
func presenceList(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	lamp := st.subscribe(carol, func() *phone.Sub {
		return carol.WatchList("700", 3600, "Event: presence",
			"Accept: application/pidf+xml, multipart/related, application/rlmi+xml").Follow("701")
	})
	st.shows(lamp, "open")
	c := st.park(alice, referred(bob))
	st.shows(lamp, "busy")
	st.refresh(lamp)
	time.Sleep(time.Second)
	fetched := st.fetch(bob, c, code)
	st.shows(lamp, "open")
	st.hangup(fetched, c)
	st.unwatch(lamp)
}

// translate puts a phone behind a NAT, whose binding is open for a while after the
// phone has sent something.
func (st *stage) translate(p *phone.Phone) {
	host := netip.MustParseAddrPort(p.Contact()[len("<sip:"+p.Name+"@") : len(p.Contact())-1])
	var last time.Time // owned by the network: no two hooks run at once
	st.Net.Hook(func(packet fakenet.Packet) fakenet.Verdict {
		switch host {
		case packet.From:
			last = packet.At
		case packet.To:
			return fakenet.Verdict{Drop: packet.At.Sub(last) > binding}
		}
		return fakenet.Verdict{}
	})
}

// watcherBehindNAT: its Contact leads nowhere, and nothing reaches it that comes too
// long after its last word, which is its answer to a keep-alive.
func watcherBehindNAT(st *stage) {
	alice, bob, carol := st.Phone("alice"), st.Phone("bob"), st.Phone("carol")
	st.translate(carol)
	lamp := st.subscribe(carol, func() *phone.Sub {
		return carol.Watch("701", 3600, "Contact: <sip:carol@192.168.7.7:5060>")
	})
	st.shows(lamp, "terminated")
	time.Sleep(binding + 10*time.Second)
	c := st.park(alice, referred(bob))
	st.shows(lamp, "early")
	st.refresh(lamp)
	fetched := st.fetch(bob, c, code)
	st.shows(lamp, "terminated")
	st.hangup(fetched, c)
	st.unwatch(lamp)
}
