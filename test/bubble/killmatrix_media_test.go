package bubble

import (
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

func TestMusicGoesOnAcrossARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		c.Media.Talk(0x21)
		s.Wait(time.Second)
		for range 3 {
			before := c.Media.Got(time.Time{})
			last := before[len(before)-1]
			s.Crash(down)
			ready := time.Now()
			s.Wait(time.Second)
			got := c.Media.Got(ready)
			if len(got) == 0 {
				s.T.Fatal("no music within a second")
			}
			first := got[0]
			if first.SSRC != last.SSRC || first.From != last.From || first.PT != last.PT {
				s.T.Errorf("another stream: %+v after %+v", first, last)
			}
			if d := int16(first.Seq - last.Seq); d <= 0 {
				s.T.Errorf("sequence number %d after %d", first.Seq, last.Seq)
			}
			if d := int32(first.Timestamp - last.Timestamp); d <= 0 {
				s.T.Errorf("timestamp %d after %d", first.Timestamp, last.Timestamp)
			}
			hearsMusic(s, c)
		}
		if n := len(c.Got("INVITE")) + len(c.Got("UPDATE")); n != 0 {
			s.T.Errorf("%d requests although nothing changed", n)
		}
		c.Hangup()
	})
}

func TestAMediaPortThatIsTakenIsReplacedByReinvite(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		bridged := park(alice, bob)
		fetched := retrieve(s, bob, bridged)
		parked := park(carol, bob)
		s.Wait(time.Second)
		ports := []netip.AddrPort{parked.Media.Remote(), fetched.Media.Remote()}
		var others []*fakenet.Conn
		s.CrashAnd(down, func() {
			for _, a := range ports {
				conn, err := s.Net.Listen(a)
				if err != nil {
					s.T.Fatal(err)
				}
				others = append(others, conn)
			}
		})
		ready := time.Now()
		s.Wait(time.Second)
		if len(parked.Media.Got(ready)) == 0 {
			s.T.Error("no music within a second")
		}
		for i, c := range []*phone.Call{parked, fetched} {
			if n := len(c.Got("INVITE")); n != 1 || c.Media.Remote() == ports[i] {
				s.T.Errorf("%d re-INVITEs, and media at %v", n, c.Media.Remote())
			}
		}
		if n := len(bridged.Got("INVITE")); n != 0 {
			s.T.Errorf("%d re-INVITEs although nothing changed", n)
		}
		hearsMusic(s, parked)
		talk(s, fetched, bridged)
		goodbye(s, fetched, bridged)
		goodbye(s, retrieve(s, bob, parked), parked)
		for _, conn := range others {
			conn.Close()
		}
	})
}

func TestAMediaAddressThatChangedIsAnnounced(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		s.Wait(time.Second)
		before := c.Media.Remote()
		s.CrashAnd(down, func() { s.Config.Media.Address = netip.MustParseAddr("10.0.0.77") })
		s.Wait(time.Second)
		list := c.Got("INVITE")
		if len(list) != 1 || !strings.Contains(list[0].Body, "c=IN IP4 10.0.0.77\r\n") {
			s.T.Errorf("re-INVITEs: %v", list)
		}
		if c.Media.Remote() == before {
			s.T.Error("nothing was announced")
		}
		hearsMusic(s, c)
		c.Hangup()
	})
}

func TestAHeldCallerIsHeldAfterARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{})
		hearsMusic(s, c)
		c.Change(phone.SDP{Direction: "sendonly"})
		s.Crash(down)
		s.Wait(time.Second)
		hearsNothing(s, c)
		c.Change(phone.SDP{})
		s.Wait(30 * time.Millisecond)
		hearsMusic(s, c)
		c.Hangup()
	})
}

// What a key does is known after a restart, and so is the payload type of keys.
func TestKeysAreHeardAfterARestart(t *testing.T) {
	crash(t, kit.Orbit("701", keyed), func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		s.Wait(time.Second)
		s.Crash(down)
		s.Wait(time.Second)
		parked.Media.Press('0')
		back := bob.Ringing(time.Second)
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestACallerOfAnOrbitThatIsGoneStaysAndCanBeFetched(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		s.Wait(time.Second)
		s.CrashAnd(down, func() {
			s.Config.Orbits = keepOrbits(s.Config.Orbits, func(o config.Orbit) bool { return o.Extension != "701" })
		})
		s.Wait(time.Second)
		hearsMusic(s, parked)
		bob.Invite("701", referred(bob)).Expect(404)
		goodbye(s, retrieve(s, bob, parked), parked)
		bob.Invite("701", phone.Opts{}).Expect(404)
	})
}

func keepOrbits(list []config.Orbit, ok func(config.Orbit) bool) (kept []config.Orbit) {
	for _, o := range list {
		if ok(o) {
			kept = append(kept, o)
		}
	}
	return kept
}
