package bubble

import (
	"regexp"
	"testing"
	"time"

	"github.com/icholy/digest"

	"parkd/internal/config"
	"parkd/test/kit"
	"parkd/test/kit/phone"
)

// proves calls with the name that somebody proves, whatever the phone is called.
func proves(p *phone.Phone, name, to string, o phone.Opts) *phone.Call {
	asked := p.Invite(to, o).Expect(401)
	chal, err := digest.ParseChallenge(asked.Get("WWW-Authenticate"))
	if err != nil {
		panic(err)
	}
	cred, err := digest.Digest(chal, digest.Options{Method: "INVITE", URI: "sip:" + to + "@10.0.0.1", Count: 1, Cnonce: "c", Username: name, Password: "secret"})
	if err != nil {
		panic(err)
	}
	o.Headers = append(o.Headers, "Authorization: "+cred.String())
	return p.Call(to, o)
}

// Within a dialog nobody is asked for a password again: whoever is at its other end
// is who proved their name when it began, also after a crash.
func TestANameThatWasProvedLastsAsLongAsTheCall(t *testing.T) {
	t.Parallel()
	strangers := func(c *config.Config) {
		c.Access.Trusted = nil
		for _, name := range []string{"desk", "guest"} {
			c.Access.Users = append(c.Access.Users, config.User{Username: name, Password: "secret"})
		}
		c.Access.RetrieveUsers = regexp.MustCompile("^desk$")
	}
	kit.RunCut(t, kit.Plan{Configure: strangers}, func(s *kit.Site) {
		// Each calls itself what the other one is.
		guest, desk, ben := s.Phone("desk"), s.Phone("guest"), s.Phone("ben")
		parked, other := proves(guest, "guest", "701", phone.Opts{}), proves(ben, "guest", "702", phone.Opts{})
		fetched := proves(desk, "desk", "*4701", phone.Opts{})
		talk(s, fetched, parked)
		s.Crash(time.Second)
		s.Wait(time.Second)
		parked.Do("REFER", "", "Refer-To: <sip:*4702@10.0.0.1>").Expect(403)
		other.ExpectAlive()
		fetched.Do("REFER", "", "Refer-To: <sip:*4702@10.0.0.1>").Expect(202)
		s.Wait(time.Second)
		talk(s, parked, other)
		goodbye(s, parked, other)
	})
}
