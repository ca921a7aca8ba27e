package sockets

import (
	"strings"
	"testing"
	"time"

	"parkd/test/live"
)

// Users, passwords and the realm are those of the newest configuration, for what
// begins from then on.
func TestOtherUsersAreServed(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const served = "sip: {listen: [udp://HOST:5060]}\naccess: {trusted: [], realm: %realm, users: [%users]}\n"
	with := func(realm, users string) string {
		return strings.NewReplacer("%realm", realm, "%users", users).Replace(served)
	}
	s.start(with("parkd", "{username: ann, password: one}"))
	p := s.phone("ann", "udp", s.host+":5060")
	call := func(ext string, l login, realm string, want int) *live.Call {
		t.Helper()
		c := p.Invite(ext, live.Offer{})
		m := c.Expect(401)
		if got := field(m.Get("WWW-Authenticate"), "realm"); got != realm {
			t.Errorf("asked for the realm %q, want %q", got, realm)
		}
		c.Retry(l.answer(t, m, "INVITE", p.At(ext)))
		c.Expect(want)
		return c
	}
	ann := login{"ann", "one", "SHA-256"}
	parked := call("701", ann, "parkd", 200)
	parked.Answered()
	first, since := len(parked.Media.First(1)), time.Now()
	w := p.Watch("701")
	w.Retry(ann.answer(t, p.Expect(w.Asked, 401), "SUBSCRIBE", p.At("701")))
	w.Served()

	// The API needs no password of theirs.
	s.reloaded(with("office", "{username: bob, password: two}"), "access.realm", "access.users")
	call("702", ann, "office", 401)
	call("702", login{"bob", "one", "SHA-256"}, "office", 401)
	other := call("702", login{"bob", "two", "MD5"}, "office", 200)
	other.Answered()
	other.Bye()
	w.Ends("rejected") // within a dialog nobody is asked for a password
	undisturbed(t, parked, first, since)

	s.reloaded(with("office", ""), "access.users")
	p.Invite("702", live.Offer{}).Expect(403)
	parked.Bye()
}

// A lamp goes with the trust that it was subscribed in: whoever may show a password
// now is told to come again, whoever may not is told not to. Others stay.
func TestLampsOfNetworksThatAreTrustedNoMore(t *testing.T) {
	t.Parallel()
	s := newSite(t)
	const served = "sip: {listen: [udp://HOST:5060, tcp://HOST:5060]}\naccess: {trusted: [%trusted], users: [%users]}\n"
	with := func(trusted, users string) string {
		return strings.NewReplacer("%trusted", trusted, "%users", users).Replace(served)
	}
	const ann = "{username: ann, password: one}"
	s.start(with("127.0.0.0/8", ann))
	p := s.phone("ann", "udp", s.host+":5060")
	w := p.Watch("701")
	w.Served()
	s.reloaded(with("10.0.0.0/8", ann), "access.trusted")
	w.Ends("deactivated")

	w = p.Watch("701")
	w.Retry(login{"ann", "one", "MD5"}.answer(t, p.Expect(w.Asked, 401), "SUBSCRIBE", p.At("701")))
	w.Served()
	w.Shows("terminated")
	s.reloaded(with("10.0.0.0/8, 192.168.0.0/16", ann+", {username: bob, password: two}"), "access.trusted", "access.users")
	w.Refresh(3600) // ann is there still
	s.reloaded(with("10.0.0.0/8", ""), "access.trusted", "access.users")
	w.Ends("rejected")
}
