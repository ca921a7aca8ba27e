package bubble

import (
	"slices"
	"sync"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// slowDisk keeps batches back and then reports them durable, the newest first:
// so the effects of all of them are released at once.
type slowDisk struct {
	store.Store
	mu   sync.Mutex // leaf
	slow bool
	done []func()
}

func (d *slowDisk) Append(b store.Batch, done func(error)) {
	d.Store.Append(b, func(err error) {
		d.mu.Lock()
		slow := d.slow
		if slow {
			d.done = append(d.done, func() { done(err) })
		}
		d.mu.Unlock()
		if !slow {
			done(err)
		}
	})
}

func (d *slowDisk) set(slow bool) {
	d.mu.Lock()
	done := d.done
	d.slow, d.done = slow, nil
	d.mu.Unlock()
	for _, f := range slices.Backward(done) {
		f()
	}
}

// Whoever takes a return back at the very moment it begins must find it, or a
// phone rings for nobody until its owner is tired of it.
func TestAReturnThatIsTakenBackAsItBeginsRingsNobody(t *testing.T) {
	t.Parallel()
	disk := &slowDisk{Store: store.NewMemory()}
	withKey := kit.Orbit("701", func(o *config.Orbit) { o.Transfer = config.Transfer{Enabled: true, Key: "0"} })
	kit.RunOn(t, withKey, func() store.Store { return disk }, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		parked := park(alice, bob)
		s.Wait(time.Second)
		disk.set(true)
		parked.Info("dtmf", '0').Expect(200)
		fetched := carol.Invite("*4701", phone.Opts{})
		s.Wait(time.Second)
		disk.set(false)
		fetched.Expect(200)
		fetched.Ack()
		talk(s, fetched, parked)
		if len(bob.Got("INVITE")) > 0 {
			back := bob.Ringing(time.Second)
			back.Reply(180)
			back.ExpectCancel(time.Second)
		}
		goodbye(s, fetched, parked)
	})
}

// Only what was validated is called: the user part may carry parameters of its
// own (RFC 3261 19.1.6), which gateways read.
func TestAReturnCallsTheParkerWithoutWhatWasHiddenInTheName(t *testing.T) {
	for name, referredBy := range map[string]string{
		"context":            "sip:bob;phone-context=+1900@10.0.1.2",
		"escapes":            "sip:b%6Fb@10.0.1.2",
		"password":           "sip:bob:secret@10.0.1.2",
		"headers":            "sip:bob@10.0.1.2?Route=%3Csip:203.0.113.9%3E",
		"maddr":              "sip:bob@10.0.1.2;maddr=203.0.113.9",
		"transport and more": "sip:bob@10.0.1.2;transport=x%0d%0ay;method=BYE",
	} {
		t.Run(name, func(t *testing.T) {
			run(t, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := alice.Call("701", phone.Opts{ReferredBy: referredBy})
				parked.Media.Talk(0x21)
				back := bob.Ringing(after + time.Second)
				if got, want := back.Request().URI(), "sip:bob@10.0.1.2"; got != want {
					s.T.Errorf("called %s, want %s", got, want)
				}
				back.Pickup()
				goodbye(s, parked, back)
			})
		})
	}
}

// A port beyond 65535 must not wrap around to one of our own.
func TestAReturnCallsNoImpossiblePort(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := alice.Call("701", phone.Opts{ReferredBy: "sip:bob@10.0.1.2:70596"})
		s.Wait(5 * time.Minute)
		if n := len(bob.Got("INVITE")); n != 0 {
			s.T.Errorf("called %d times", n)
		}
		parked.Hangup()
	})
}

// The address that a retriever knows parkd by is the orbit's, in every message.
func TestARetrieversDialogKeepsItsContact(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		parked := park(alice, bob)
		fetched := bob.Invite("*4701", phone.Opts{})
		first := fetched.Expect(200).Get("Contact")
		fetched.Ack()
		if again := fetched.Change(phone.SDP{}).Get("Contact"); again != first {
			s.T.Errorf("Contact is %s, was %s", again, first)
		}
		goodbye(s, fetched, parked)
	})
}

// A proxy that answers 408 to a session refresh has lost the peer (RFC 4028 10).
func TestASessionRefreshThatTimesOutAtAProxyEndsTheCall(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{Headers: []string{
			"Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE, CANCEL, UPDATE",
		}})
		c.Media.Talk(0x21)
		alice.Auto("UPDATE", 408)
		s.Wait(time.Minute)
		if c.Ended().IsZero() {
			s.T.Error("the leg lives on")
		}
	})
}

// The peer's own refresh ends what a refresh of ours that crossed it had armed.
func TestARefreshOfThePeersEndsTheTimersOfOurs(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		c := alice.Call("701", phone.Opts{Headers: []string{
			"Supported: timer", "Session-Expires: 90;refresher=uas", "Allow: INVITE, ACK, BYE, CANCEL",
		}})
		c.Media.Talk(0x21)
		alice.Auto("INVITE", 491)
		hook(s, 1, "INVITE", fakenet.Verdict{Delay: 100 * time.Millisecond}) // our refresh is under way
		s.Wait(45*time.Second + 50*time.Millisecond)
		c.Do("UPDATE", "", "Supported: timer", "Session-Expires: 90;refresher=uac").Expect(200)
		s.Wait(100 * time.Millisecond)
		alice.Auto("INVITE", 200)
		for range 4 {
			s.Wait(40 * time.Second)
			c.Do("UPDATE", "", "Supported: timer", "Session-Expires: 90;refresher=uac").Expect(200)
		}
		c.ExpectAlive()
		c.Hangup()
	})
}

func TestABodyThatCannotBeDecodedIsRefused(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice := s.Phone("alice")
		r := alice.Invite("701", phone.Opts{Headers: []string{"Content-Encoding: gzip"}}).Expect(415)
		if got := r.Get("Accept-Encoding"); got != "identity" {
			s.T.Errorf("Accept-Encoding %q", got)
		}
	})
}
