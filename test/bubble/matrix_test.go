package bubble

import (
	"cmp"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// trouble is longer than any one lost or late packet holds up a call.
const trouble = 3 * time.Second

// script is a scenario that ends well whatever happens to one packet.
type script struct {
	play      func(*kit.Site)
	configure kit.Configure // nil = the built-in orbits
}

var scripts = map[string]script{
	"park, press, hang up":        {play: pressed},
	"presence, a call fetches":    {play: fetchedByPresence},
	"park, return, answer":        {play: returned},
	"park, return, busy, fetch":   {play: refusedThenFetched},
	"park, return, 302, answer":   {play: movedThenAnswered},
	"park, return, INFO":          {play: confirmedByInfo, configure: kit.Orbit("701", confirming)},
	"park, return, confirm, 2":    {play: refusedThenConfirmed, configure: kit.Orbit("701", confirming)},
	"park, return, ask, fetch":    {play: fetchedWhileAsked, configure: kit.Orbit("701", confirming)},
	"park, return, mailbox":       {play: mailboxThenAnswered},
	"park, return, fetch":         {play: fetchedWhileReturning},
	"consultation, transfer":      {play: transferred},
	"hold, resume, session timer": {play: heldAndResumed},
	"cancel":                      {play: cancelled},
	"transfer on, answered":       {play: transferredOn},
	"transfer in vain, left":      {play: transferredEarlyInVain},
	"park again":                  {play: parkedAgain},
	"REFER to an orbit":           {play: summoned},
	"consultation by identity":    {play: consultedByIdentity},
	"connected line":              {play: connectedLineFollows},
	"keys by INFO":                {play: keysByInfo},
	"holds within a bridge":       {play: heldWithinABridge},
	"media past parkd":            {play: ledPastParkd, configure: kit.Orbit("701", direct)},
	"handed off":                  {play: handedOff, configure: handed},
	"consultation with a pool":    {play: consultedWithPool, configure: pool(tells)},
	"list, press, refresh":        {play: pressedThroughList, configure: desk},
}

// fates are what can happen to a packet: it comes after its first
// retransmission, a bit late, twice, or never.
var fates = map[string]fakenet.Verdict{
	"late": {Delay: 700 * time.Millisecond}, "a bit late": {Delay: 15 * time.Millisecond},
	"doubled": {Extra: 1}, "lost": {Drop: true},
}

// TestAnyPacketMayBeLateDoubledOrLost drives each script with each of its SIP
// packets in turn late, doubled, and lost. In the end the server holds nothing
// (kit.Site.Idle). A script has turns packets and fates tried, chosen once and
// for all; PARKD_SOAK=1 tries all.
func TestAnyPacketMayBeLateDoubledOrLost(t *testing.T) {
	for name, sc := range scripts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var packets int64
			kit.Run(t, sc.configure, func(s *kit.Site) {
				count := s.Nth(-2, fakenet.Verdict{}, nil)
				sc.play(s)
				packets = count.Load()
			})
			for _, m := range mishaps(name, int(packets)) {
				t.Run(m.String(), func(t *testing.T) {
					t.Parallel()
					kit.Run(t, sc.configure, func(s *kit.Site) {
						s.Nth(m.packet, fates[m.fate], nil)
						sc.play(s)
					})
				})
			}
		})
	}
}

// mishap is a fate of a packet.
type mishap struct {
	packet int
	fate   string
}

// String names the subtest.
func (m mishap) String() string { return fmt.Sprintf("packet %d %s", m.packet, m.fate) }

// mishaps are those of a script that are tried.
func mishaps(name string, packets int) (list []mishap) {
	for n := range packets {
		for fate := range fates {
			list = append(list, mishap{n, fate})
		}
	}
	if os.Getenv(soak) != "" {
		return list
	}
	slices.SortFunc(list, func(a, b mishap) int { return cmp.Compare(lot(name+a.String()), lot(name+b.String())) })
	return list[:min(len(list), turns)]
}

// joined checks that two who were joined hear each other once trouble is over.
func joined(s *kit.Site, a, b *phone.Call) {
	s.T.Helper()
	a.Media.Talk(0x21)
	b.Media.Talk(0x42)
	time.Sleep(trouble)
	talk(s, a, b)
}

func hangup(a, b *phone.Call) {
	a.Hangup()
	b.ExpectEnd(trouble)
}

func pressed(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	watch := bob.Subscribe("701")
	parked := park(alice, bob)
	lamp := watch.Await(trouble, "early")
	fetched := bob.Call("701", phone.Opts{Replaces: lamp.Replaces(false)})
	joined(s, fetched, parked)
	watch.Await(trouble, "terminated")
	hangup(parked, fetched)
	watch.Refresh(0).Expect(200)
	watch.AwaitEnd(trouble)
}

func fetchedByPresence(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	watch := bob.Watch("701", 3600, "Event: presence", "Accept: application/pidf+xml", "User-Agent: Linphone/5.1.65")
	watch.Expect(200)
	parked := park(alice, bob)
	watch.Await(trouble, "busy")
	time.Sleep(trouble) // the 200 that says so has come
	fetched := bob.Call("701", phone.Opts{})
	joined(s, fetched, parked)
	watch.Await(trouble, "open")
	hangup(parked, fetched)
	watch.Refresh(0).Expect(200)
	watch.AwaitEnd(trouble)
}

func returned(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Reply(180)
	back.Pickup()
	joined(s, back, parked)
	hangup(back, parked)
}

func refusedThenFetched(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	bob.Ringing(after + trouble).Reply(486)
	time.Sleep(trouble)
	hearsMusic(s, parked)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

func movedThenAnswered(s *kit.Site) {
	alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
	parked := park(alice, bob)
	bob.Ringing(after+trouble).Reply(302, elsewhere("<"+carol.URI()+">"))
	back := carol.Ringing(trouble)
	back.Reply(180)
	back.Pickup()
	time.Sleep(trouble)
	back.Media.Press('1') // for it is another number
	joined(s, back, parked)
	hangup(back, parked)
}

func confirmedByInfo(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Reply(180)
	back.Pickup()
	time.Sleep(trouble)
	back.Info("dtmf-relay", '1').Expect(200)
	joined(s, back, parked)
	hangup(back, parked)
}

func refusedThenConfirmed(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Pickup()
	time.Sleep(trouble)
	back.Media.Press('2')
	back.ExpectEnd(trouble)
	back = bob.Ringing(after + trouble)
	back.Pickup()
	time.Sleep(trouble)
	back.Media.Press('1')
	joined(s, back, parked)
	hangup(parked, back)
}

func fetchedWhileAsked(s *kit.Site) {
	alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Pickup()
	time.Sleep(trouble)
	fetched := carol.Call("*4701", phone.Opts{})
	back.ExpectEnd(trouble)
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

func mailboxThenAnswered(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	mailbox := bob.Ringing(after + trouble)
	mailbox.Features(";automata")
	mailbox.Pickup()
	mailbox.ExpectEnd(trouble)
	back := bob.Ringing(after + trouble)
	back.Pickup()
	joined(s, back, parked)
	hangup(parked, back)
}

func fetchedWhileReturning(s *kit.Site) {
	alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
	parked := park(alice, bob)
	back := bob.Ringing(after + trouble)
	back.Reply(180)
	fetched := carol.Call("*4701", phone.Opts{})
	back.ExpectEnd(trouble)
	joined(s, fetched, parked)
	hangup(parked, fetched)
}

func transferred(s *kit.Site) {
	bob, alice := s.Phone("bob"), s.Phone("alice")
	consult := bob.Call("701", phone.Opts{})
	time.Sleep(trouble)
	parked := alice.Call("701", phone.Opts{Replaces: consult.Replaces()})
	consult.ExpectEnd(trouble)
	time.Sleep(trouble)
	hearsMusic(s, parked)
	parked.Hangup()
}

func heldAndResumed(s *kit.Site) {
	alice := s.Phone("alice")
	c := alice.Call("701", timed("90;refresher=uas"))
	c.Media.Talk(0x21)
	time.Sleep(trouble)
	c.Change(phone.SDP{Direction: "sendonly"})
	time.Sleep(trouble)
	c.Reinvite(phone.SDP{}, timed("90;refresher=uas").Headers...).Expect(200)
	c.Ack()
	time.Sleep(time.Minute)
	hearsMusic(s, c)
	if n := len(c.Got("INVITE")); n != 1 {
		s.T.Errorf("%d session refreshes in a minute, want 1", n)
	}
	c.Hangup()
}

func consultedByIdentity(s *kit.Site) {
	bob := s.Phone("bob")
	c := bob.Call("701", phone.Opts{})
	c.Media.Talk(0x21)
	c.Update(phone.Asserted("Ann", ann)).Expect(200)
	back := bob.Ringing(after + trouble)
	if from := back.Request().Get("From"); !strings.Contains(from, ann) {
		s.T.Errorf("called back by %s", from)
	}
	back.Reply(180)
	back.Pickup()
	joined(s, back, c)
	hangup(back, c)
}

func handedOff(s *kit.Site) {
	parked, fetched := handing(s, phone.Referral{Code: 202})
	parked.ExpectEnd(2 * trouble)
	fetched.ExpectEnd(2 * trouble)
	time.Sleep(trouble)
	x, y := onTheirOwn(s, s.Phones()[0], s.Phones()[1])
	hangup(x, y)
}

func keysByInfo(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	parked.Info("dtmf", '5').Expect(200)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	parked.Info("dtmf-relay", '5').Expect(200)
	bob.Auto("INFO", 415)
	parked.Info("dtmf-relay", '6').Expect(200)
	time.Sleep(trouble)
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

func consultedWithPool(s *kit.Site) {
	bob, alice := s.Phone("bob"), s.Phone("alice")
	watch := bob.Subscribe("700")
	consult := bob.Call("700", phone.Opts{Headers: []string{phone.Updates}})
	time.Sleep(trouble)
	parked := alice.Call("700", phone.Opts{Replaces: consult.Replaces(), ReferredBy: bob.URI()})
	consult.ExpectEnd(trouble)
	time.Sleep(trouble)
	hearsMusic(s, parked)
	if m := bob.Got("MESSAGE"); len(m) != 1 || m[0].Body != "alice is parked on 701" {
		s.T.Errorf("bob was sent %v", m)
	}
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	hangup(fetched, parked)
	watch.Refresh(0).Expect(200)
	watch.AwaitEnd(trouble)
}

func connectedLineFollows(s *kit.Site) {
	alice, bob := s.Phone("alice"), s.Phone("bob")
	parked := park(alice, bob)
	fetched := bob.Call("*4701", phone.Opts{})
	joined(s, fetched, parked)
	parked.Update(phone.Asserted("Ann", ann)).Expect(200)
	time.Sleep(trouble)
	shows(s, fetched, "INVITE", ann)
	joined(s, fetched, parked)
	hangup(fetched, parked)
}

func cancelled(s *kit.Site) {
	alice := s.Phone("alice")
	c := alice.Invite("701", phone.Opts{})
	cancel := c.Cancel()
	if r := cancel.Wait(trouble); r == nil || r.Code() != 200 && r.Code() != 481 {
		s.T.Errorf("CANCEL answered with %v", r)
	}
	switch r := c.Tx.Wait(trouble); {
	case r == nil:
		s.T.Error("INVITE is not answered")
	case r.Code() == 200:
		c.Ack()
		c.Hangup()
	case r.Code() != 487:
		s.T.Errorf("INVITE answered with %s", r.Start)
	}
}
