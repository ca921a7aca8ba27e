package phone

import (
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"parkd/test/kit/fakenet"
)

// two runs f with two phones that are each other's server.
func two(t *testing.T, f func(t *testing.T, n *fakenet.Net, alice, bob *Phone)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		n := fakenet.New()
		a, b := netip.MustParseAddrPort("10.0.0.2:5060"), netip.MustParseAddrPort("10.0.0.3:5060")
		alice, bob := New(t, n, "alice", a, b), New(t, n, "bob", b, a)
		defer alice.Close()
		defer bob.Close()
		f(t, n, alice, bob)
	})
}

func TestACallFromRingingToBye(t *testing.T) {
	two(t, func(t *testing.T, _ *fakenet.Net, alice, bob *Phone) {
		out := alice.Invite("bob", Opts{})
		in := bob.Ringing(time.Second)
		in.Reply(180)
		out.Tx.ExpectProvisional(180)
		in.PickupLate()
		out.Expect(200)
		out.Ack()
		in.Media.Talk(0x55)
		heard := out.Media.Hear(time.Second)
		if len(heard) != 49 && len(heard) != 50 || heard[0].First != 0x55 || heard[0].Len != 160 || heard[0].PT != 0 {
			t.Errorf("heard %d packets, the first %+v", len(heard), heard[0])
		}
		out.Media.Press('#')
		time.Sleep(time.Second)
		keys := in.Media.Got(time.Time{})
		if len(keys) != 8 || keys[0].PT != 101 || !keys[0].Marker || keys[0].First != 11 || keys[7].Second&0x80 == 0 {
			t.Errorf("key press arrived as %+v", keys)
		}
		out.Hangup()
		in.ExpectEnd(time.Second)
		if got := len(out.Media.Hear(time.Second)); got > 1 {
			t.Errorf("%d packets after the end", got)
		}
	})
}

func TestACallIsCancelledOrRefused(t *testing.T) {
	two(t, func(t *testing.T, _ *fakenet.Net, alice, bob *Phone) {
		out := alice.Invite("bob", Opts{})
		in := bob.Ringing(time.Second)
		out.Cancel().Expect(200)
		out.Expect(487)
		in.ExpectCancel(time.Second)

		out = alice.Invite("bob", Opts{})
		bob.Ringing(time.Second).Reply(486)
		out.Expect(486)
		time.Sleep(time.Minute)
		if got := len(out.Tx.All(486)); got != 1 {
			t.Errorf("486 came %d times: not acknowledged", got)
		}
	})
}

func TestWhatIsLostComesAgain(t *testing.T) {
	two(t, func(t *testing.T, n *fakenet.Net, alice, bob *Phone) {
		lost := map[string]bool{}
		n.Hook(func(p fakenet.Packet) fakenet.Verdict { // the first of each kind
			kind := strings.Fields(string(p.Data))[0] + p.From.String()
			drop := !lost[kind]
			lost[kind] = true
			return fakenet.Verdict{Drop: drop}
		})
		out := alice.Invite("bob", Opts{})
		in := bob.Ringing(time.Second)
		in.PickupLate()
		out.Expect(200)
		out.Ack()
		time.Sleep(time.Minute)
		if got := len(out.Tx.All(200)); got != 2 { // one lost, one whose ACK was lost
			t.Errorf("200 came %d times, want 2", got)
		}
		in.Hangup()
		out.ExpectEnd(time.Second)
		if got := len(alice.Got("BYE")); got != 1 {
			t.Errorf("BYE was served %d times, want 1", got)
		}
	})
}
