package kit

import (
	"testing"
	"time"

	"parkd/internal/config"
	"parkd/test/kit/phone"
)

func TestAServerIsStoppedWhereItIsToBe(t *testing.T) {
	cut := Cut{On: Append, Side: After, Down: 100 * time.Millisecond}
	seen := RunCut(t, Plan{Configure: Kept, Stop: true, Cuts: []Cut{cut}}, func(s *Site) {
		c := s.Phone("alice").Invite("701", phone.Opts{})
		s.Wait(50 * time.Millisecond)
		if n := len(s.Log.Find("stopping, calls are kept")); n != 1 || s.running() != nil {
			s.T.Errorf("stopped %d times", n)
		}
		c.Expect(200)
		c.Ack()
		s.Wait(cut.Down)
		if out := s.Outages(); len(out) != 1 || out[0].Ready.Sub(out[0].At) < cut.Down {
			s.T.Errorf("outages: %+v", out)
		}
		s.Restart(cut.Down) // and once more, by the test
		s.Wait(time.Second)
		c.Hangup()
	})
	if len(seen) != 2 || seen[0][Append] == 0 {
		t.Errorf("servers have seen %v", seen)
	}
}

func TestARefusedConfigurationIsNotTheSites(t *testing.T) {
	Run(t, nil, func(s *Site) {
		s.Log.Expect("not reloaded")
		before := len(s.Config.Orbits)
		if _, err := s.Reload(func(c *config.Config) { c.Orbits, c.Shutdown = c.Orbits[:1], "later" }); err == nil {
			s.T.Error("taken")
		}
		if len(s.Config.Orbits) != before {
			s.T.Errorf("%d orbits", len(s.Config.Orbits))
		}
		s.Reloaded(Orbit("701", func(o *config.Orbit) { o.Name = "Sales" }))
		if s.Config.Orbits[0].Name != "Sales" {
			s.T.Error("the site's configuration is the old one")
		}
	})
}
