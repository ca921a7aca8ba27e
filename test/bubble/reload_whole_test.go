package bubble

import (
	"slices"
	"strings"
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// What a restart only changes is named, and the old is in force until then.
func TestWhatNeedsARestartIsNamedAndStays(t *testing.T) {
	runWith(t, func(c *config.Config) { c.Media.Ports = config.PortRange{Low: 10000, High: 10019} }, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		first := park(alice, bob)
		p := undisturbed(s, []*phone.Call{first})
		ch := s.Reloaded(func(c *config.Config) {
			c.SIP.Listen = []config.Listen{{Network: "udp", Port: 5070}}
			c.DataDir, c.Store.Kind, c.Admin.Listen = "elsewhere", "bolt", "127.0.0.1:8090"
			c.Media.Ports = config.PortRange{Low: 20000, High: 20019}
			c.Log.Format = "json"
			c.Park.RetrieveCodes = []string{"*9"} // live, beside them
		})
		want := []string{"admin.listen", "data_dir", "log.format", "media.ports", "sip.listen", "store.kind"}
		if !slices.Equal(ch.Restart, want) || !slices.Contains(ch.Keys, "park.retrieve_codes") {
			s.T.Errorf("changed %q, at a restart %q", ch.Keys, ch.Restart)
		}
		if list := s.Log.Find("changes need a restart"); len(list) != 1 {
			s.T.Errorf("logged %d times", len(list))
		}
		second := bob.Call("702", phone.Opts{})
		for _, a := range s.MediaPorts() {
			if a.Port() < 10000 || a.Port() > 10019 {
				s.T.Errorf("a media port at %s", a)
			}
		}
		// Named as long as it waits, also by reloads that change nothing else.
		if ch := s.Reloaded(nil); !slices.Equal(ch.Restart, want) {
			s.T.Errorf("then at a restart %q", ch.Restart)
		}
		s.Wait(time.Second)
		p.check()
		s.Config.Store.Kind = "memory" // of the server that runs
		fetched := bob.Call("*9701", phone.Opts{})
		talk(s, fetched, first)
		goodbye(s, fetched, first)
		second.Hangup()
	})
}

// A configuration with a fault changes nothing, whatever else is in it.
func TestAFaultyConfigurationChangesNothing(t *testing.T) {
	run(t, func(s *kit.Site) {
		alice, bob := s.Phone("alice"), s.Phone("bob")
		watch := bob.Subscribe("701")
		first := park(alice, bob)
		watch.Await(lit, "early")
		p := undisturbed(s, []*phone.Call{first}, watch)
		s.Log.Expect("configuration not reloaded")
		for fault, change := range map[string]kit.Configure{
			"park.max_calls":     func(c *config.Config) { c.Park.MaxCalls = 0 },
			"orbits[0].music":    kit.Orbit("701", func(o *config.Orbit) { o.Music = "../701" }),
			"music \"sales\"":    kit.Orbit("701", func(o *config.Orbit) { o.Music = "sales" }), // no such file
			"sip.outbound_proxy": func(c *config.Config) { c.SIP.OutboundProxy = "pbx" },
		} {
			_, err := s.Reload(func(c *config.Config) {
				removed("702")(c)
				added("711")(c)
				kit.Orbit("701", func(o *config.Orbit) {
					o.AllowMultiple, o.Lamp.State, o.Name, o.Timeout.Enabled = true, "confirmed", "Sales", false
				})(c)
				c.Park.RetrieveCodes = []string{"*9"}
				c.Media.Codecs = []string{"PCMA"}
				change(c)
			})
			if err == nil || !strings.Contains(err.Error(), fault) {
				s.T.Errorf("%s: %v", fault, err)
			}
		}
		if n := len(s.Log.Find("configuration not reloaded, the old one stays in force")); n != 4 {
			s.T.Errorf("logged %d times", n)
		}
		bob.Invite("711", phone.Opts{}).Expect(404)
		alice.Invite("701", referred(bob)).Expect(486)
		other := alice.Call("702", phone.Opts{})
		hearsMusic(s, other)
		if got := other.Media.Got(time.Time{})[0].PT; got != 0 {
			s.T.Errorf("payload type %d", got)
		}
		other.Hangup()
		p.check()
		s.Reloaded(added("711")) // a good one works again
		bob.Call("711", phone.Opts{}).Hangup()
		fetched := retrieve(s, bob, first)
		goodbye(s, fetched, first)
		watch.Refresh(0).Expect(200)
	})
}
