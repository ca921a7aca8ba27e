package bubble

import (
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/internal/store"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

func TestAReturnIsDueWhenItWasBeforeTheRestart(t *testing.T) {
	for name, o := range map[string]struct{ at, down, want time.Duration }{
		"long before":       {at: 30 * time.Second, down: down, want: after},
		"just before":       {at: after - time.Second, down: 500 * time.Millisecond, want: after},
		"while it was down": {at: after - time.Second, down: 10 * time.Second, want: after + 9*time.Second},
		"long ago":          {at: time.Second, down: 10 * time.Minute, want: 10*time.Minute + time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			crash(t, nil, func(s *kit.Site) {
				alice, bob := s.Phone("alice"), s.Phone("bob")
				parked := park(alice, bob)
				start := time.Now()
				s.Wait(o.at)
				s.Crash(o.down)
				back := bob.Ringing(after)
				about(s, "return", time.Since(start), o.want)
				back.Pickup()
				talk(s, back, parked)
				goodbye(s, back, parked)
			})
		})
	}
}

func TestFailedReturnsAreCountedAcrossARestart(t *testing.T) {
	desk := kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Fallback = "200" })
	crash(t, desk, func(s *kit.Site) {
		pbx, bob := s.Phone("pbx"), s.Phone("bob")
		parked := park(pbx, bob)
		from := time.Now()
		for range 3 {
			back := bob.Ringing(after + time.Second)
			about(s, "return", time.Since(from), after)
			back.Reply(486)
			from = time.Now()
			s.Wait(time.Second)
			s.Crash(down)
		}
		fallback := pbx.Ringing(after + time.Second)
		fallback.Pickup()
		talk(s, fallback, parked)
		goodbye(s, fallback, parked)
	})
}

func TestACallIsEndedAfterTheLongestTimeAcrossARestart(t *testing.T) {
	crash(t, func(c *config.Config) { c.Park.MaxTime = 10 * time.Minute }, func(s *kit.Site) {
		c := s.Phone("alice").Call("701", phone.Opts{})
		start := time.Now()
		s.Wait(5 * time.Minute)
		s.Crash(down)
		c.ExpectEnd(6 * time.Minute)
		about(s, "end", time.Since(start), 10*time.Minute)
	})
}

func TestTheGuardOfAPlainPressHoldsAcrossARestart(t *testing.T) {
	crash(t, nil, func(s *kit.Site) {
		alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
		watch := bob.Subscribe("701")
		parked := park(alice, bob)
		watch.Await(time.Second, "early")
		s.Wait(time.Second)
		fetched := bob.Call("701", phone.Opts{})
		s.Wait(time.Second)
		s.Crash(down)
		carol.Invite("701", phone.Opts{Replaces: fetched.Replaces()}).Expect(486)
		s.Wait(10 * time.Second)
		taken := carol.Call("701", phone.Opts{Replaces: fetched.Replaces()})
		fetched.ExpectEnd(time.Second)
		talk(s, taken, parked)
		goodbye(s, taken, parked)
		watch.Refresh(0).Expect(200)
	})
}

// A retrieve whose ACK does not come resolves to parked, also with a restart
// in between.
func TestAHalfDoneRetrieveResolvesToParked(t *testing.T) {
	for name, long := range map[string]time.Duration{"a moment": down, "minutes": 5 * time.Minute} {
		t.Run(name, func(t *testing.T) {
			crash(t, kit.Orbit("701", func(o *config.Orbit) { o.Timeout.Enabled = false }), func(s *kit.Site) {
				alice, bob, carol := s.Phone("alice"), s.Phone("bob"), s.Phone("carol")
				watch := carol.Subscribe("701")
				parked := park(alice, bob)
				lamp := watch.Await(lit, "early")
				bob.Auto("OPTIONS", 0) // an answer would be as good as an ACK
				half := bob.Invite("*4701", phone.Opts{})
				half.Expect(200)
				watch.Await(lit, "terminated")
				s.Wait(time.Second)
				s.Crash(long)
				half.ExpectEnd(64*t1 + time.Second)
				again := watch.Await(2*time.Second, "early")
				if again.CallID == lamp.CallID {
					s.T.Error("the ids of a dialog that was terminated came back") // RFC 4235 3.7.1
				}
				hearsMusic(s, parked)
				goodbye(s, retrieve(s, bob, parked), parked)
				watch.Refresh(0).Expect(200)
			})
		})
	}
}

// One record that cannot be read takes nobody else along.
func TestADamagedRecordLeavesTheOthersAlone(t *testing.T) {
	for _, kind := range []string{"/leg/", "/call/", "/sub/"} {
		t.Run(strings.Trim(kind, "/"), func(t *testing.T) {
			crash(t, kit.Orbit("701", several), func(s *kit.Site) {
				ann, ben, carol, dave := s.Phone("ann"), s.Phone("ben"), s.Phone("carol"), s.Phone("dave")
				watches := []*phone.Sub{carol.Subscribe("701"), dave.Subscribe("701")}
				calls := []*phone.Call{park(ann, carol), park(ben, carol)}
				s.Wait(time.Second)
				s.Log.Expect("unexpected end of JSON input")
				s.CrashAnd(down, func() { damage(s, kind) })
				ready := time.Now()
				s.Wait(2 * time.Second)
				heard, told := 0, 0
				for _, c := range calls {
					if len(c.Media.Got(ready)) > 0 {
						heard++
					}
				}
				for _, w := range watches {
					if w.Newest().At.After(ready) {
						told++
					}
				}
				if want := map[string][2]int{"/leg/": {1, 2}, "/call/": {1, 2}, "/sub/": {2, 1}}[kind]; heard != want[0] || told != want[1] {
					s.T.Errorf("%d callers hear music and %d lamps were told, want %v", heard, told, want)
				}
				if !strings.Contains(s.Log.String(), "unexpected end of JSON input") {
					s.T.Error("nothing was logged")
				}
				for i, c := range calls {
					if len(c.Media.Got(ready)) > 0 {
						goodbye(s, retrieve(s, dave, c), c)
						continue
					}
					[]*phone.Phone{ann, ben}[i].Forget(c) // nobody knows of it
				}
				for _, w := range watches {
					w.Refresh(0).Wait(phone.Patience)
					w.Drop()
				}
			})
		})
	}
}

// damage spoils a record of a kind.
func damage(s *kit.Site, kind string) {
	s.T.Helper()
	m := s.Journal()
	all, err := m.Load("")
	if err != nil {
		s.T.Fatal(err)
	}
	for key := range all {
		if strings.Contains(key, kind) {
			m.Append(store.Batch{Put: map[string][]byte{key: []byte(`{"v`)}}, func(err error) {
				if err != nil {
					s.T.Error(err)
				}
			})
			return
		}
	}
	s.T.Fatalf("no record of kind %s in %d", kind, len(all))
}
