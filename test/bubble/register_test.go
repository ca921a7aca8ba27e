package bubble

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/fakenet"
	"parkd/test/kit/phone"
)

// pbx is where the hosted PBX is: nobody who is trusted by address.
var pbx = netip.MustParseAddrPort("192.0.2.1:5060")

// hosted registers orbits with the PBX.
func hosted(orbits ...string) config.Register {
	return config.Register{
		Orbits: orbits, Registrar: "sip:192.0.2.1", Username: "{extension}", Password: "secret",
		Expires: time.Hour, Keepalive: 25 * time.Second,
	}
}

func registering(list ...config.Register) kit.Configure {
	return func(c *config.Config) { c.SIP.Register = list }
}

// runHosted runs a scenario with a PBX that asks for a password. Its server starts
// when the scenario begins.
func runHosted(t *testing.T, configure kit.Configure, rules kit.Rules, scenario func(*kit.Site, *kit.Registrar)) {
	t.Helper()
	t.Parallel()
	kit.Run(t, configure, func(s *kit.Site) {
		s.Stop()
		r := s.Registrar(pbx)
		defer r.Close()
		r.Set(rules)
		s.Operator = kit.NewOperator()
		s.Start()
		scenario(s, r)
		plain(s)
	})
}

// plain puts a server without registrations in the place of the one that runs,
// which has to leave nothing behind.
func plain(s *kit.Site) {
	s.Stop()
	s.Operator, s.Config.SIP.Register = nil, nil
	s.Start()
}

var asks = kit.Rules{Password: "secret"}

// registrations asks the HTTP interface.
func registrations(s *kit.Site) (list []struct {
	AOR, State, Error string
	Expires           time.Time `json:"expires_at"`
}) {
	s.T.Helper()
	code, body := s.Operator.Do("GET", "/registrations")
	if err := json.Unmarshal([]byte(body), &list); err != nil || code != 200 {
		s.T.Fatalf("%d %s", code, body)
	}
	return list
}

func expectState(s *kit.Site, want string) {
	s.T.Helper()
	for _, r := range registrations(s) {
		if r.State != want {
			s.T.Errorf("%s is %s (%s), want %s", r.AOR, r.State, r.Error, want)
		}
	}
}

func TestAnOrbitRegistersAndIsCalledThroughThePBX(t *testing.T) {
	runHosted(t, registering(hosted("701")), asks, func(s *kit.Site, r *kit.Registrar) {
		s.Wait(5 * time.Second)
		got := r.Got()
		if len(got) != 2 || got[0].Code != 401 || got[1].Code != 200 {
			s.T.Fatalf("%d REGISTERs", len(got))
		}
		if a, b := got[0], got[1]; a.CallID() != b.CallID() || a.FromTag() != b.FromTag() {
			s.T.Error("another Call-ID or From tag after the challenge")
		}
		m := got[1]
		if m.URI() != "sip:192.0.2.1" || m.Get("To") != "<sip:701@192.0.2.1>" || m.Expires() != "3600" {
			s.T.Errorf("%s, To %s, Expires %s", m.Start, m.Get("To"), m.Expires())
		}
		contact := m.Get("Contact")
		if !strings.HasPrefix(contact, "<sip:701@10.0.0.1:5060>;+sip.instance=\"<urn:uuid:") || !strings.HasSuffix(contact, ";reg-id=1") {
			s.T.Errorf("Contact %s", contact)
		}
		expectState(s, "registered")
		if n := r.Bound(); n != 1 {
			s.T.Errorf("%d registrations", n)
		}
		// From the PBX's address, whom nobody configured as trusted. Who parked is an
		// extension of the PBX, and is called back through it, at its password.
		trunk := s.PhoneAt("trunk", netip.AddrPortFrom(pbx.Addr(), 5080))
		parked := trunk.Call("701", phone.Opts{ReferredBy: "sip:200@192.0.2.1:5080"})
		parked.Media.Talk(0x21)
		hearsMusic(s, parked)
		back := trunk.Ringing(after + time.Second)
		back.Reply(407, `Proxy-Authenticate: Digest realm="pbx", nonce="n", algorithm=MD5, qop="auth"`)
		back = trunk.Ringing(time.Second)
		if auth := back.Request().Get("Proxy-Authorization"); !strings.Contains(auth, `username="701"`) {
			s.T.Errorf("Proxy-Authorization %q", auth)
		}
		back.Pickup()
		talk(s, back, parked)
		goodbye(s, back, parked)
	})
}

func TestStrangersAreNotServedBecauseWeAreRegisteredElsewhere(t *testing.T) {
	runHosted(t, registering(hosted("701")), kit.Rules{Code: 403}, func(s *kit.Site, r *kit.Registrar) {
		s.Wait(5 * time.Second)
		s.PhoneAt("stranger", netip.MustParseAddrPort("192.0.2.9:5060")).Invite("701", phone.Opts{}).Expect(403)
		// Once the PBX is none of ours any more, it is a stranger too.
		trunk := s.PhoneAt("trunk", netip.AddrPortFrom(pbx.Addr(), 5080))
		trunk.Call("701", phone.Opts{}).Hangup()
		s.Reloaded(registering())
		s.Wait(5 * time.Second)
		trunk.Invite("701", phone.Opts{}).Expect(403)
	})
}

func TestARegistrationIsRefreshedInTime(t *testing.T) {
	for name, c := range map[string]struct {
		rules    kit.Rules
		low      time.Duration // between two 2xx
		high     time.Duration
		register string // what the later ones ask for
	}{
		"an hour":          {kit.Rules{}, 45 * time.Minute, 54 * time.Minute, "3600"},
		"less is granted":  {kit.Rules{Grant: 10 * time.Minute}, 450 * time.Second, 540 * time.Second, "3600"},
		"a minute":         {kit.Rules{Grant: time.Minute}, 30 * time.Second, 36 * time.Second, "3600"},
		"seconds":          {kit.Rules{Grant: 4 * time.Second}, 5 * time.Second, 5 * time.Second, "3600"},
		"423":              {kit.Rules{Min: 2 * time.Hour}, 90 * time.Minute, 108 * time.Minute, "7200"},
		"nothing is said":  {kit.Rules{Bare: true}, 45 * time.Minute, 54 * time.Minute, "3600"},
		"Expires only":     {kit.Rules{Bare: true, Headers: []string{"Expires: 600"}}, 450 * time.Second, 540 * time.Second, "3600"},
		"more than wanted": {kit.Rules{Bare: true, Headers: []string{"Expires: 99999999999"}}, 45 * time.Minute, 54 * time.Minute, "3600"},
	} {
		t.Run(name, func(t *testing.T) {
			runHosted(t, registering(hosted("701")), c.rules, func(s *kit.Site, r *kit.Registrar) {
				s.Wait(3*c.high + time.Second)
				var taken []kit.Registration
				for _, m := range r.Got() {
					if m.Code == 200 {
						taken = append(taken, m)
					}
				}
				if len(taken) < 4 {
					s.T.Fatalf("registered %d times", len(taken))
				}
				last := uint32(0)
				for i, m := range taken {
					if seq, _ := m.CSeq(); m.CallID() != taken[0].CallID() || seq <= last {
						s.T.Errorf("CSeq %d after %d, or another Call-ID", seq, last)
					} else {
						last = seq
					}
					if m.Expires() != c.register {
						s.T.Errorf("Expires %s, want %s", m.Expires(), c.register)
					}
					if i == 0 {
						continue
					}
					if gap := m.At.Sub(taken[i-1].At); gap < c.low || gap > c.high+10*time.Millisecond {
						s.T.Errorf("renewed after %v, want %v to %v", gap, c.low, c.high)
					}
				}
				expectState(s, "registered")
			})
		})
	}
}

func TestAFailingRegistrationIsTriedLaterAndLater(t *testing.T) {
	for name, c := range map[string]struct {
		rules kit.Rules
		first time.Duration // lower bound of the first pause
		want  string
	}{
		"silence":        {kit.Rules{Silent: true}, 30 * time.Second, "no answer in time"},
		"wrong password": {kit.Rules{Password: "another"}, 30 * time.Second, "401"},
		"forbidden":      {kit.Rules{Code: 403}, 30 * time.Second, "403"},
		"Retry-After":    {kit.Rules{Code: 503, Headers: []string{"Retry-After: 300 (maintenance);duration=9"}}, 300 * time.Second, "503"},
		"moved":          {kit.Rules{Code: 302, Headers: []string{"Contact: <sip:elsewhere.example.com>"}}, 30 * time.Second, "is not followed"},
		"for no time":    {kit.Rules{Bare: true, Headers: []string{"Expires: 0"}}, 30 * time.Second, "no time"},
		"421":            {kit.Rules{Code: 421}, 30 * time.Second, "421"},
	} {
		t.Run(name, func(t *testing.T) {
			runHosted(t, registering(hosted("701")), c.rules, func(s *kit.Site, r *kit.Registrar) {
				s.Wait(3 * time.Hour)
				expectState(s, "failed")
				if e := registrations(s)[0].Error; !strings.Contains(e, c.want) {
					s.T.Errorf("error %q, want %q in it", e, c.want)
				}
				var tries []kit.Registration
				for _, m := range r.Got() {
					if len(tries) == 0 || m.At.Sub(tries[len(tries)-1].At) > time.Second {
						tries = append(tries, m)
					}
				}
				if len(tries) < 6 || len(tries) > 40 {
					s.T.Errorf("%d tries in three hours", len(tries))
				}
				if gap := tries[1].At.Sub(tries[0].At); gap < c.first {
					s.T.Errorf("tried again after %v", gap)
				}
				if gap := tries[len(tries)-1].At.Sub(tries[len(tries)-2].At); gap < 5*time.Minute || gap > 31*time.Minute {
					s.T.Errorf("tried again after %v in the end", gap)
				}
				if n := len(s.Log.Find("registration failed")); n != 1 {
					s.T.Errorf("logged %d times", n)
				}
				r.Set(asks)
				s.Wait(31 * time.Minute)
				expectState(s, "registered")
			})
		})
	}
}

// A registrar that starts anew has forgotten us: it does not answer, or it has
// another address of ours. Both are noticed by keep-alive, not by the next refresh.
func TestALostWayToTheRegistrarIsNoticed(t *testing.T) {
	for name, c := range map[string]struct {
		trouble func(*kit.Registrar)
		heal    func(*kit.Registrar)
	}{
		"silence": {
			func(r *kit.Registrar) { r.Forget(); r.Set(kit.Rules{Silent: true}) },
			func(r *kit.Registrar) { r.Set(asks) }},
		"another mapping": {
			func(r *kit.Registrar) { r.Forget(); r.Set(kit.Rules{Password: "secret", Seen: "198.51.100.7:1024"}) },
			func(*kit.Registrar) {}},
	} {
		t.Run(name, func(t *testing.T) {
			runHosted(t, registering(hosted("701")), asks, func(s *kit.Site, r *kit.Registrar) {
				s.Wait(10 * time.Minute)
				if n := r.Pings(); n < 23 || n > 31 {
					s.T.Errorf("%d keep-alives in ten minutes", n)
				}
				before := len(r.Got())
				c.trouble(r)
				s.Wait(70 * time.Second)
				c.heal(r)
				s.Wait(2 * time.Minute)
				if len(r.Got()) == before || r.Bound() != 1 {
					s.T.Error("not registered again")
				}
				expectState(s, "registered")
			})
		})
	}
}

func TestReloadChangesRegistrationsAndTouchesNoCall(t *testing.T) {
	runHosted(t, registering(hosted("701", "702")), asks, func(s *kit.Site, r *kit.Registrar) {
		s.Wait(5 * time.Second)
		alice := s.Phone("alice")
		parked := alice.Call("702", phone.Opts{})
		parked.Media.Talk(0x21)
		before := len(r.Got())
		s.Reloaded(registering(hosted("701", "703")))
		s.Wait(5 * time.Second)
		var gone, come, stayed int
		for _, m := range r.Got()[before:] {
			switch {
			case m.Code != 200:
			case strings.Contains(m.Get("To"), "702") && m.Expires() == "0":
				gone++
			case strings.Contains(m.Get("To"), "703"):
				come++
			default:
				stayed++
			}
		}
		if gone != 1 || come != 1 || stayed != 0 {
			s.T.Errorf("%d taken back, %d new, %d others", gone, come, stayed)
		}
		hearsMusic(s, parked)
		if n := len(registrations(s)); n != 2 {
			s.T.Errorf("%d registrations", n)
		}
		// Another password goes into force at once, with the same Call-ID.
		first := r.Got()[0].CallID()
		other := hosted("701", "703")
		other.Password = "changed"
		r.Set(kit.Rules{Password: "changed"})
		before = len(r.Got())
		s.Reloaded(registering(other))
		s.Wait(5 * time.Second)
		known := false
		for _, m := range r.Got()[before:] {
			known = known || m.CallID() == first
		}
		if !known || len(r.Got()) != before+4 {
			s.T.Errorf("%d REGISTERs, known Call-ID %v", len(r.Got())-before, known)
		}
		expectState(s, "registered")
		s.Reloaded(registering())
		s.Wait(5 * time.Second)
		if r.Bound() != 0 || len(registrations(s)) != 0 {
			s.T.Error("registered still")
		}
		parked.Hangup()
	})
}

// A server that keeps its calls for the next one is to be called still; one that
// ends is not.
func TestAStopTakesRegistrationsBackOnlyIfItIsTheEnd(t *testing.T) {
	for name, c := range map[string]struct {
		configure kit.Configure
		bound     int
	}{
		"keep":   {func(c *config.Config) {}, 0}, // a journal in memory keeps nothing
		"drain":  {func(c *config.Config) { c.Shutdown = "drain" }, 0},
		"return": {func(c *config.Config) { c.Shutdown = "return" }, 0},
		"kept":   {func(c *config.Config) { c.Store.Kind = "bolt" }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			configure := func(cfg *config.Config) { registering(hosted("701"))(cfg); c.configure(cfg) }
			kit.RunCut(t, kit.Plan{Configure: configure}, func(s *kit.Site) {
				r := s.Registrar(pbx)
				defer r.Close()
				r.Set(asks)
				s.Wait(time.Minute) // not there at the start: found at the next try
				if r.Bound() != 1 {
					s.T.Fatal("not registered")
				}
				s.RestartAnd(time.Second, func() {
					if n := r.Bound(); n != c.bound {
						s.T.Errorf("%d registrations after the stop, want %d", n, c.bound)
					}
				})
				s.Wait(5 * time.Second)
				if r.Bound() != 1 {
					s.T.Error("not registered after the start")
				}
				s.RestartAnd(time.Second, func() { s.Config.SIP.Register = nil })
			})
		})
	}
}

// A thousand registrations do not burst, and each is kept.
func TestAThousandRegistrationsAreSpread(t *testing.T) {
	many := func(c *config.Config) {
		c.Orbits = nil
		r := hosted()
		for i := range crowd {
			o := config.Orbit{Extension: fmt.Sprint(1000 + i), Options: c.Defaults}
			c.Orbits = append(c.Orbits, o)
			r.Orbits = append(r.Orbits, o.Extension)
		}
		r.Keepalive = time.Hour
		c.SIP.Register = []config.Register{r}
	}
	runHosted(t, many, kit.Rules{}, func(s *kit.Site, r *kit.Registrar) {
		s.Wait(25 * time.Second)
		got := r.Got()
		if len(got) != crowd || r.Bound() != crowd {
			s.T.Fatalf("%d REGISTERs, %d registrations", len(got), r.Bound())
		}
		for i := range got {
			n := 0
			for j := i; j < len(got) && got[j].At.Sub(got[i].At) < time.Second; j++ {
				n++
			}
			if n > 110 {
				s.T.Fatalf("%d in one second", n)
			}
		}
	})
}

// Each message of a registration lost, doubled or late.
func TestRegisteringOverABadNetwork(t *testing.T) {
	for name, v := range map[string]fakenet.Verdict{
		"lost": {Drop: true}, "doubled": {Extra: 1}, "late": {Delay: 3 * time.Second},
	} {
		for n := range 4 {
			t.Run(fmt.Sprintf("%s %d", name, n), func(t *testing.T) {
				t.Parallel()
				kit.Run(t, registering(hosted("701")), func(s *kit.Site) {
					s.Stop()
					r := s.Registrar(pbx)
					defer r.Close()
					r.Set(asks)
					s.Operator = kit.NewOperator()
					s.Nth(n, v, nil)
					s.Start()
					s.Wait(2 * time.Minute)
					expectState(s, "registered")
					if r.Bound() != 1 {
						s.T.Error("not registered")
					}
					plain(s)
				})
			})
		}
	}
}
